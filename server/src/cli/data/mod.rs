//! `graft data`: images with classes, before they are trained on.

mod check;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::CommandContext;

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Say how a folder, archive or table of images is understood, and name every file that cannot be used
    Check(check::CheckArgs),
}

pub(super) fn run(command: &DataCommand, context: &CommandContext) -> Result<ExitCode> {
    match command {
        DataCommand::Check(args) => check::run(args, context),
    }
}
