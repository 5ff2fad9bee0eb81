//! Models that clients upload: a folder for the files, and `graft import` in a process of its own.
//!
//! A model file is untrusted input, and reading one takes as much memory as it is large: a process that crashes or is killed
//! costs that import and nothing else. Its rules are those of the command because it is the command.

mod folder;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;

use onnx::engine::ort;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::config::ServeConfig;
use crate::jobs::describe_end;
use crate::runtime::SelectedEngine;
use crate::store::ModelName;
pub use folder::{IncomingFile, IncomingFolder};

/// How many models are imported at a time; others wait.
const AT_A_TIME: usize = 1;
/// What a full disk is called by the system, whose words the command repeats.
const DISK_FULL: &str = "No space left on device";

/// Imports models; cheap to clone.
#[derive(Debug, Clone)]
pub struct ModelImporter {
    program: PathBuf,
    arguments: Arc<[OsString]>,
    incoming: PathBuf,
    permits: Arc<Semaphore>,
}

/// What is to be imported.
#[derive(Debug, Clone)]
pub struct ImportOrder {
    /// The name in the store.
    pub name: ModelName,
    /// The model's file in the folder.
    pub file: String,
    /// The file of class names in the folder, if there is one.
    pub labels: Option<String>,
    /// Options of `graft import` and their values.
    pub options: Vec<(ImportOption, String)>,
}

macro_rules! options {
    ($($variant:ident: $name:literal, $flag:literal;)*) => {
        /// An option of `graft import` that a client may choose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ImportOption {
            $(#[doc = $flag] $variant,)*
        }

        impl ImportOption {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in forms.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn flag(self) -> &'static str {
                match self { $(Self::$variant => $flag,)* }
            }
        }
    };
}

options! {
    Preprocess: "preprocess", "--preprocess";
    Resize: "resize", "--resize";
    Crop: "crop", "--crop";
    Filter: "filter", "--filter";
    Mean: "mean", "--mean";
    Std: "std", "--std";
    PixelMax: "pixel_max", "--pixel-max";
    ChannelOrder: "channel_order", "--channel-order";
    Size: "size", "--size";
    Output: "output", "--output";
    Activation: "activation", "--activation";
    Arch: "arch", "--arch";
}

/// The last line of `graft import --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// The model's name.
    pub name: ModelName,
    /// The new version.
    pub version: u32,
}

/// A model that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedModel {
    /// The new version.
    pub version: u32,
    /// What the command said on the way: how the file was understood, and how the engines agree.
    pub remarks: Vec<String>,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportFailure {
    /// The file, an option or the class names are at fault.
    #[error("{0}")]
    Refused(String),
    /// The disk is full.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The process did not begin, or says what is no answer.
    #[error("the import cannot be run")]
    Process(#[from] io::Error),
}

impl ModelImporter {
    /// An importer that runs this program on the same data, engine and threads as the server.
    ///
    /// # Errors
    /// When the system does not tell where this program is.
    pub fn of_this_program(config: &ServeConfig, engine: &SelectedEngine) -> io::Result<Self> {
        // The process runs in the folder of its files, so that its messages name them as the client does.
        let data = std::path::absolute(config.data.root())?;
        let mut arguments: Vec<OsString> = vec!["--data-dir".into(), data.into()];
        arguments.extend(["--engine".into(), engine.kind.to_string().into()]);
        arguments.extend(["--threads".into(), engine.threads.to_string().into()]);
        arguments.extend(["--log".into(), "off".into()]);
        if let Some(runtime) = ort::loaded() {
            arguments.extend(["--ort-lib".into(), std::path::absolute(runtime.path())?.into()]);
        }
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: arguments.into(),
            incoming: config.data.incoming_dir(),
            permits: Arc::new(Semaphore::new(AT_A_TIME)),
        })
    }

    /// A folder for the files of one upload, with room for so many bytes.
    ///
    /// # Errors
    /// When it cannot be made, or the disk has no such room.
    pub async fn folder(&self, bytes: u64) -> io::Result<IncomingFolder> {
        IncomingFolder::new(&self.incoming, bytes).await
    }

    /// Imports what is in the folder. Whoever does not wait for it ends its process.
    ///
    /// # Errors
    /// [`ImportFailure`]; nothing is published then.
    pub async fn import(&self, folder: &IncomingFolder, order: &ImportOrder) -> Result<ImportedModel, ImportFailure> {
        let _permit = self.permits.acquire().await.map_err(|_| io::Error::other("the importer has ended"))?;
        let mut command = Command::new(&self.program);
        command.arg("import").arg(&order.file).args(["--json", "--background", "--name", order.name.as_str()]);
        command.args(order.labels.iter().flat_map(|labels| ["--labels", labels.as_str()]));
        // In one word, so that no value is taken for an option.
        command.args(order.options.iter().map(|(option, value)| format!("{}={value}", option.flag())));
        command.args(&*self.arguments).current_dir(folder.path());
        // The server was told everything; what its environment says to other commands is not meant for this one.
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("GRAFT_")) {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let Output { status, stdout, stderr } = command.spawn()?.wait_with_output().await?;
        match status.success() {
            true => summary(&stdout),
            false => Err(failure(status, &stderr)),
        }
    }
}

/// What the command says when it has succeeded: remarks, and a summary in the last line.
fn summary(stdout: &[u8]) -> Result<ImportedModel, ImportFailure> {
    let text = String::from_utf8_lossy(stdout);
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop().unwrap_or_default();
    let ImportSummary { version, .. } = serde_json::from_str(last).map_err(io::Error::from)?;
    Ok(ImportedModel { version, remarks: lines.into_iter().map(str::to_owned).collect() })
}

/// What it says when it has failed.
fn failure(status: ExitStatus, stderr: &[u8]) -> ImportFailure {
    let text = String::from_utf8_lossy(stderr);
    let said = text.rsplit_once("error: ").map(|(_, said)| said);
    // Behind an empty line clap explains its own `--help`.
    let said = said
        .and_then(|said| said.split("\n\n").next())
        .map(|said| said.split_whitespace().collect::<Vec<_>>().join(" "));
    match said.filter(|_| status.code().is_some()) {
        Some(said) if said.contains(DISK_FULL) => ImportFailure::Full(said),
        Some(said) => ImportFailure::Refused(said),
        None => ImportFailure::Refused(describe_end("the import", status)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_last_line_of_the_command_is_its_summary_and_those_before_are_remarks() {
        let said = b"images are prepared as torchvision's\ntract: agrees\n{\"name\":\"flowers\",\"version\":4}\n";
        let imported = summary(said).unwrap();
        assert_eq!((imported.version, imported.remarks.len()), (4, 2));
        assert!(matches!(summary(b"no summary\n"), Err(ImportFailure::Process(_))));
    }

    #[test]
    fn a_refusal_is_the_error_of_the_command_without_its_advice_about_help() {
        let failed = ExitStatus::from_raw(1 << 8);
        let refused = failure(failed, b"error: model.onnx: this is a picture\n").to_string();
        assert_eq!(refused, "model.onnx: this is a picture");
        let usage = b"error: invalid value 'x' for '--preprocess <PREPROCESS>'\n  [possible values: bytes]\n\nFor more information, try '--help'.\n";
        let refused = failure(ExitStatus::from_raw(2 << 8), usage).to_string();
        assert_eq!(refused, "invalid value 'x' for '--preprocess <PREPROCESS>' [possible values: bytes]");
        let full = failure(failed, b"error: models/x: No space left on device (os error 28)\n");
        assert!(matches!(full, ImportFailure::Full(_)));
    }

    #[test]
    fn a_process_that_the_system_killed_is_told_with_its_signal() {
        let killed = failure(ExitStatus::from_raw(9), b"").to_string();
        assert!(killed.starts_with("the import was ended by signal 9 (SIGKILL, which"), "{killed}");
    }
}
