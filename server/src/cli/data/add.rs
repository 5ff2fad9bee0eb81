//! `graft data add`.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::{Result, bail};
use clap::Args;
use server::datasets::DatasetName;
use server::datasets::stored::{Addition, DatasetStoreError, ImageUpload, ImportOptions, ImportReport, Label};
use trainer::data::{FileAccess, OpenOptions};
use trainer::finetune::FinetuneOptions;

use crate::cli::images::{DatasetArgs, describe};
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;
use crate::cli::stored::LocalStore;
use crate::cli::{CommandContext, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    /// The stored data set, made if it is not there
    #[arg(value_name = "NAME")]
    name: DatasetName,

    /// The images: a folder, a zip or tar archive of one, or a CSV table, which say the labels; or, with --label, image files
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// The label of all images; each PATH is an image file then. Several labels have slashes between, as in rose/tulip
    #[arg(long, env = "GRAFT_LABEL")]
    label: Option<Label>,

    #[command(flatten)]
    dataset: DatasetArgs,

    /// The largest image that is read, in millions of pixels
    #[arg(long, env = "GRAFT_FINETUNE_MAX_MEGAPIXELS", value_name = "N", default_value_t = FinetuneOptions::default().max_megapixels)]
    max_megapixels: u64,
}

/// The largest image file that is read, in bytes.
const LARGEST: u64 = 512 << 20;
/// Files that are added at a time.
const CHUNK: usize = 64;

/// Adds images to a stored data set. Fails if one was refused; the others are added.
pub(super) fn run(args: &AddArgs, context: &CommandContext) -> Result<ExitCode> {
    let local = LocalStore::open(context)?;
    match local.wait(local.datasets.create(&args.name)) {
        Ok(_) | Err(DatasetStoreError::Exists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let refused = match &args.label {
        Some(label) => add_files(args, label, &local)?,
        None => add_tree(args, context, &local)?,
    };
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn limits(args: &AddArgs) -> models::preprocess::Limits {
    FinetuneOptions { max_megapixels: args.max_megapixels, ..FinetuneOptions::default() }.limits()
}

/// Image files with one label.
fn add_files(args: &AddArgs, label: &Label, local: &LocalStore) -> Result<usize> {
    let (mut added, mut present, mut refused) = (0, 0, 0);
    for chunk in args.paths.chunks(CHUNK) {
        let (mut uploads, mut paths) = (Vec::new(), Vec::new());
        for path in chunk {
            match FileAccess::Everywhere.file(path.clone()).read(LARGEST) {
                Ok(bytes) => {
                    let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                    uploads.push(ImageUpload { label: label.clone(), file_name, subset: None, bytes: bytes.into() });
                    paths.push(path.display());
                }
                Err(error) => {
                    refused += 1;
                    output::line(format_args!("refused: {}: {error}", path.display()))?;
                }
            }
        }
        for (file, path) in local.wait(local.datasets.add(&args.name, uploads, limits(args)))?.into_iter().zip(paths) {
            match file {
                Ok(Addition::Added(_)) => added += 1,
                Ok(Addition::Present(_)) => present += 1,
                Ok(Addition::LabeledOtherwise { label, .. }) => {
                    refused += 1;
                    output::line(format_args!("refused: {path}: the image is there with the label `{label}`"))?;
                }
                Err(error) => {
                    refused += 1;
                    output::line(format_args!("refused: {path}: {error}"))?;
                }
            }
        }
    }
    summarize(&args.name, added, present, refused)?;
    Ok(refused)
}

/// A folder, archive or table, as the trainer understands it.
fn add_tree(args: &AddArgs, context: &CommandContext, local: &LocalStore) -> Result<usize> {
    let [path] = &args.paths[..] else {
        bail!("{} paths; give one folder, archive or table, or the --label of image files", args.paths.len())
    };
    if fs::metadata(path).is_ok_and(|file| file.is_file()) && is_image(path) {
        bail!("{} is an image, which has no label by itself; give it one with --label", path.display());
    }
    let mut progress = Progress::until(Interrupt::listen()?);
    let source = args.dataset.locate(path, context, &mut progress)?;
    let options = OpenOptions { archives: Some(&context.data.archives_dir()), ..OpenOptions::default() };
    let dataset = source.list_in(&options)?;
    let import = local.wait(local.datasets.begin_import(&args.name))?;
    let options = ImportOptions { limits: limits(args), threads: available_parallelism().unwrap_or(NonZeroUsize::MIN) };
    let files = import.read(&dataset, &options, &mut progress);
    progress.finish();
    let report = local.wait(local.datasets.finish_import(&import, files?))?;
    let ImportReport { understood, added, present, refused, refusals } = report;
    for line in describe(&understood) {
        output::line(format_args!("{line}"))?;
    }
    for reason in &refusals {
        output::line(format_args!("refused: {reason}"))?;
    }
    if refused > refusals.len() {
        output::line(format_args!("and {} more", refused - refusals.len()))?;
    }
    summarize(&args.name, added, present, refused)?;
    Ok(refused)
}

fn is_image(path: &std::path::Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = FileAccess::Everywhere.file(path).open().and_then(|file| file.take(64).read_to_end(&mut head));
    read.is_ok() && models::preprocess::ImageFormat::of(&head).is_ok()
}

fn summarize(name: &DatasetName, added: usize, present: usize, refused: usize) -> Result<()> {
    let mut text = format!("`{name}`: {added} images added");
    if present > 0 {
        text += &format!(", {present} were there already");
    }
    if refused > 0 {
        text += &format!(", {refused} refused");
    }
    Ok(output::line(format_args!("{text}"))?)
}
