//! Which model a command runs: one of the store, or one in a file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use models::ModelSpec;
use server::store::{InvalidName, ModelName, StoredModel};

use super::CommandContext;

/// A model as it is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelArg {
    /// In the store.
    Stored(ModelName),
    /// A path, such as `./flowers.onnx`.
    File(PathBuf),
}

/// A model that can be run.
pub(super) struct ModelSource {
    /// Its name, or that of its file.
    pub(super) name: String,
    /// Its version, if it is in the store.
    pub(super) version: Option<u32>,
    /// The ONNX file.
    pub(super) onnx: Vec<u8>,
    pub(super) spec: ModelSpec,
}

impl FromStr for ModelArg {
    type Err = InvalidName;

    /// A folder before it or its ending tells a file from a name.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let path = Path::new(text);
        let is_path = path.components().count() > 1 || path.extension().is_some_and(|ending| ending == "onnx");
        if is_path { Ok(Self::File(path.to_owned())) } else { Ok(Self::Stored(text.parse()?)) }
    }
}

impl ModelArg {
    /// Reads the model: this version of a stored one, or the live one.
    pub(super) fn open(&self, version: Option<u32>, context: &CommandContext) -> Result<ModelSource> {
        match self {
            Self::Stored(name) => {
                let store = context.store()?;
                let StoredModel { version, onnx, spec, .. } = store.read(name, store.resolve(name, version)?)?;
                Ok(ModelSource { name: name.to_string(), version: Some(version), onnx, spec })
            }
            Self::File(path) => {
                if version.is_some() {
                    bail!("a file has no versions; leave out --version");
                }
                let shown = path.display();
                let onnx = std::fs::read(path).with_context(|| shown.to_string())?;
                let spec = onnx::metadata::spec(&onnx).with_context(|| shown.to_string())?;
                let Some(spec) = spec else {
                    bail!(
                        "{shown} does not say its classes and how images are prepared for it, because graft has not written \
                         it; store it with `graft import {shown} --name NAME` and name it so"
                    );
                };
                Ok(ModelSource { name: shown.to_string(), version: None, onnx, spec })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_endings_are_files_and_everything_else_is_a_name() {
        let parse = |text: &str| text.parse::<ModelArg>().unwrap();
        assert_eq!(parse("flowers"), ModelArg::Stored("flowers".parse().unwrap()));
        for path in ["flowers.onnx", "./flowers", "/models/flowers"] {
            assert_eq!(parse(path), ModelArg::File(path.into()));
        }
        assert!("../no name?".parse::<ModelArg>().is_ok());
        assert!("no name?".parse::<ModelArg>().unwrap_err().to_string().contains("`no name?`"));
    }
}
