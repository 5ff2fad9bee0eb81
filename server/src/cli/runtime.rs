//! `graft runtime`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use server::runtime::{self, VERSION};

use super::{Workplace, output};

#[derive(Debug, Subcommand)]
pub(super) enum RuntimeCommand {
    /// Get ONNX Runtime with your own `pip download`, check its hash, and put it into the data folder
    Install {
        /// The Python whose pip is used
        #[arg(long, env = "GRAFT_PYTHON", default_value = "python3", value_name = "FILE")]
        python: PathBuf,
    },
    /// Say which engine would serve, and why
    Show,
}

pub(super) fn run(command: &RuntimeCommand, place: &Workplace) -> Result<()> {
    match command {
        RuntimeCommand::Install { python } => {
            output::line(format_args!("downloading ONNX Runtime {VERSION} with pip"))?;
            let library = runtime::install(&place.data.runtime_dir(), python)?;
            output::line(format_args!("installed {}", library.display()))?;
        }
        RuntimeCommand::Show => {
            let engine = place.select()?;
            output::line(format_args!("{} on {} thread(s): {}", engine.kind, engine.threads, engine.reason))?;
        }
    }
    Ok(())
}
