//! `graft data`: images with classes, before they are trained on.

mod add;
mod check;
mod export;
mod list;
mod relocate;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use super::CommandContext;

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Say how a folder, archive or table of images is understood, and name every file that cannot be used
    Check(check::CheckArgs),
    /// Add images to a stored data set, which `--data stored:NAME` and `POST /finetune` name
    Add(add::AddArgs),
    /// List the stored data sets, or the classes and snapshots of one
    List(list::ListArgs),
    /// Move images of a stored data set to the images that train, validate or test
    Move(relocate::MoveArgs),
    /// Write a stored data set as a zip of class folders
    Export(export::ExportArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn run(command: &DataCommand, context: &CommandContext) -> Result<ExitCode> {
    match command {
        DataCommand::Check(args) => return check::run(args, context),
        DataCommand::Add(args) => return add::run(args, context),
        DataCommand::List(args) => list::run(args, context)?,
        DataCommand::Move(args) => relocate::run(args, context)?,
        DataCommand::Export(args) => export::run(args, context)?,
    }
    Ok(ExitCode::SUCCESS)
}
