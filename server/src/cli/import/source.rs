//! The file that is imported: read once, and judged by its content.

use std::io;
use std::path::{Component, Path};

use anyhow::{Context, Result};
use models::Network;
use models::weights::{self, SafetensorsError, StateDict, WeightsFormat};
use onnx::ModelFile;
use sha2::{Digest, Sha256};

/// What a file is.
pub(in crate::cli) enum Source {
    /// A network.
    Onnx(Box<ModelFile>),
    /// Weights with their network, as graft keeps them.
    Network(Box<Network>),
    /// Weights without a network.
    Weights(WeightsFile),
}

/// A file of weights.
pub(in crate::cli) struct WeightsFile {
    pub(in crate::cli) state: StateDict,
    /// Of the file, in lower-case hexadecimal; published files are known by it.
    pub(in crate::cli) sha256: String,
}

/// What no reader here takes: a protobuf message has its length in one number of 31 bits.
const LARGEST: u64 = (1 << 31) - 1;

impl Source {
    /// Reads a file, and the files beside it that an ONNX model keeps its weights in.
    pub(in crate::cli) fn open(path: &Path) -> Result<Self> {
        let named = || path.display().to_string();
        let bytes = read(path).with_context(named)?;
        // Formats of weights begin with marks of their own; ONNX files have none.
        match WeightsFormat::sniff(&bytes) {
            Some(WeightsFormat::Safetensors) => match weights::read_network(&bytes) {
                Ok(network) => return Ok(Self::Network(Box::new(network))),
                Err(SafetensorsError::NoNetwork(_)) => {}
                Err(error) => return Err(error).with_context(named),
            },
            Some(_) => {}
            None => return Self::onnx(path, bytes).with_context(named),
        }
        Ok(Self::Weights(WeightsFile::read(bytes).with_context(named)?))
    }

    fn onnx(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut beside = |location: &str| read_beside(folder, location);
        Ok(Self::Onnx(Box::new(ModelFile::decode_with(bytes, &mut beside)?)))
    }
}

impl WeightsFile {
    pub(in crate::cli) fn read(bytes: Vec<u8>) -> Result<Self> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(Self { state: weights::read(bytes)?, sha256 })
    }
}

/// A file in the model's own folder or below it: a model must not make graft read anything else.
pub(in crate::cli) fn read_beside(folder: &Path, location: &str) -> io::Result<bytes::Bytes> {
    let relative = Path::new(location);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !inside {
        return Err(io::Error::other("it is not in the model's folder"));
    }
    read(&folder.join(relative)).map(Into::into)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = path.metadata()?.len();
    if length > LARGEST {
        return Err(io::Error::other(format!("it has {length} bytes; files of up to 2 GB are read")));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_models_own_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("model")).unwrap();
        std::fs::write(folder.path().join("secret"), b"x").unwrap();
        std::fs::write(folder.path().join("model/w.bin"), b"weights").unwrap();
        let read = |location: &str| read_beside(&folder.path().join("model"), location);
        assert_eq!(read("w.bin").unwrap().as_ref(), b"weights");
        assert_eq!(read("./w.bin").unwrap().as_ref(), b"weights");
        let absolute = folder.path().join("secret").display().to_string();
        for location in ["", "../secret", "a/../../secret", absolute.as_str(), "missing"] {
            let error = read(location).unwrap_err();
            let outside = error.to_string() == "it is not in the model's folder";
            assert!(outside || error.kind() == io::ErrorKind::NotFound && location == "missing", "{location}: {error}");
        }
    }
}
