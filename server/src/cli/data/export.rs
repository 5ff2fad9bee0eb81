//! `graft data export`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use server::datasets::stored::Archive;

use crate::cli::stored::{LocalStore, StoredDataset};
use crate::cli::{CommandContext, destination, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The stored data set; `NAME@N` for a snapshot
    #[arg(value_name = "NAME[@N]")]
    dataset: StoredDataset,

    /// The zip archive to write
    #[arg(long, env = "GRAFT_OUT", value_name = "FILE")]
    out: PathBuf,
}

/// Writes a zip of class folders, or of images with a table of their classes.
pub(super) fn run(args: &ExportArgs, context: &CommandContext) -> Result<()> {
    let (local, StoredDataset { name, snapshot }) = (LocalStore::open(context)?, &args.dataset);
    let images = match snapshot {
        Some(number) => local.wait(local.datasets.snapshot_images(name, *number))?,
        None => local.wait(local.datasets.content(name))?,
    };
    let archive =
        Archive::new(&local.datasets.folder(name), &images).context("the files of the data set cannot be read")?;
    let written = destination::stream(&args.out, &mut |to| archive.write(to));
    written.with_context(|| format!("cannot write {}", args.out.display()))?;
    output::line(format_args!("wrote {} images, {} bytes, to {}", images.len(), archive.length(), args.out.display()))?;
    Ok(())
}
