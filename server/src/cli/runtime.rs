//! `graft runtime`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use server::runtime::{self, Library};

use super::CommandContext;
use super::output::{self, OutputArgs};

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
    Show(OutputArgs),
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
        RuntimeCommand::Show(format) => show(*format, context)?,
    }
    Ok(())
}

fn show(format: OutputArgs, context: &CommandContext) -> Result<()> {
    let engine = context.select()?;
    let onednn = runtime::onednn(None, &context.data);
    let reasons = |refused: &[_]| refused.iter().map(ToString::to_string).collect::<Vec<String>>().join("; ");
    if format.is_json() {
        let onednn = match &onednn {
            Ok((library, candidate)) => {
                json!({"version": library.version().to_string(), "place": candidate.place.to_string()})
            }
            Err(refused) => json!({"missing": reasons(refused)}),
        };
        let (kind, version, threads, reason) = (engine.kind, engine.version, engine.threads, engine.reason);
        return Ok(output::json(&json!({
            "engine": {"kind": kind, "version": version, "threads": threads, "reason": reason},
            "onednn": onednn,
        }))?);
    }
    output::line(format_args!("{} on {} thread(s): {}", engine.kind, engine.threads, engine.reason))?;
    match onednn {
        Ok((library, candidate)) => {
            output::line(format_args!("oneDNN {} found {}", library.version(), candidate.place))?;
        }
        Err(refused) if refused.is_empty() => output::line(format_args!("no oneDNN was found"))?,
        Err(refused) => output::line(format_args!("no oneDNN: {}", reasons(&refused)))?,
    }
    Ok(())
}
