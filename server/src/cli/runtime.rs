//! `graft runtime`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use server::runtime::{self, Library};

use super::{CommandContext, output};

#[derive(Debug, Subcommand)]
pub(super) enum RuntimeCommand {
    /// Get a library with your own `pip download`, check its hash, and put it into the data folder
    Install {
        /// Which one
        #[arg(value_enum, default_value_t)]
        library: LibraryName,
        /// The Python whose pip is used
        #[arg(long, env = "GRAFT_PYTHON", default_value = "python3", value_name = "FILE")]
        python: PathBuf,
    },
    /// Say which engine would serve, and why, and which oneDNN there is for training
    Show,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum LibraryName {
    /// ONNX Runtime, for running models
    #[default]
    Onnxruntime,
    /// oneDNN, for training on processors with matrix units
    Onednn,
}

pub(super) fn run(command: &RuntimeCommand, context: &CommandContext) -> Result<()> {
    match command {
        RuntimeCommand::Install { library, python } => {
            let library = match library {
                LibraryName::Onnxruntime => Library::OnnxRuntime,
                LibraryName::Onednn => Library::OneDnn,
            };
            output::line(format_args!("downloading {} with pip", library.spec().requirement))?;
            let file = runtime::install(library, &context.data.runtime_dir(), python)?;
            output::line(format_args!("installed {}", file.display()))?;
        }
        RuntimeCommand::Show => {
            let engine = context.select()?;
            output::line(format_args!("{} on {} thread(s): {}", engine.kind, engine.threads, engine.reason))?;
            match runtime::onednn(None, &context.data) {
                Ok((library, candidate)) => {
                    output::line(format_args!("oneDNN {} found {}", library.version(), candidate.place))?;
                }
                Err(refused) if refused.is_empty() => output::line(format_args!("no oneDNN was found"))?,
                Err(refused) => {
                    let reasons: Vec<String> = refused.iter().map(ToString::to_string).collect();
                    output::line(format_args!("no oneDNN: {}", reasons.join("; ")))?;
                }
            }
        }
    }
    Ok(())
}
