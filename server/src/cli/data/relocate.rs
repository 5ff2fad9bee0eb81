//! `graft data move`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use server::datasets::DatasetName;
use server::datasets::stored::{ImageEdit, ImageFilter, SubsetChoice};
use trainer::data::Checksum;

use crate::cli::stored::LocalStore;
use crate::cli::{CommandContext, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct MoveArgs {
    /// The stored data set
    #[arg(value_name = "NAME")]
    name: DatasetName,

    /// The images: ids, file names in the data set, or files with the same bytes
    #[arg(value_name = "IMAGE", required_unless_present = "label")]
    images: Vec<String>,

    /// The subset that they are moved to; `none` leaves it to the seed of each run
    #[arg(long, env = "GRAFT_SUBSET", value_enum, value_name = "SUBSET")]
    to: SubsetChoice,

    /// All images of this label, in the place of IMAGE
    #[arg(long, env = "GRAFT_LABEL", value_name = "LABEL", conflicts_with = "images")]
    label: Option<String>,
}

/// Images that are read at a time.
const PAGE: usize = 1000;

/// Moves images of a stored data set to a subset: all of them, or, if one is not there, none.
pub(super) fn run(args: &MoveArgs, context: &CommandContext) -> Result<()> {
    let local = LocalStore::open(context)?;
    let images = match &args.label {
        Some(label) => {
            let images: Vec<Checksum> = stored(args, &local)?.into_iter().map(|(sha256, _)| sha256).collect();
            if images.is_empty() {
                bail!("`{}` has no image with the label `{label}`; `graft data list {0}` lists its labels", args.name);
            }
            images
        }
        None => named(args, &local)?,
    };
    let edit = ImageEdit { label: None, subset: Some(args.to) };
    let moved = local.wait(local.datasets.edit(&args.name, &images, &edit))?;
    let subset = moved.first().and_then(|image| image.subset).map_or("none", |subset| subset.name());
    Ok(output::line(format_args!("`{}`: {} images are in `{subset}` now", args.name, moved.len()))?)
}

/// The images of the data set, or those of the label, with their file names.
fn stored(args: &MoveArgs, local: &LocalStore) -> Result<Vec<(Checksum, Option<String>)>> {
    let (mut images, mut after) = (Vec::new(), 0);
    loop {
        let filter = ImageFilter { label: args.label.as_deref(), after, limit: PAGE };
        let page = local.wait(local.datasets.images(&args.name, &filter))?;
        after = page.data.last().map_or(after, |image| image.seq);
        images.extend(page.data.into_iter().map(|image| (image.sha256, image.file_name)));
        if !page.has_more {
            return Ok(images);
        }
    }
}

fn named(args: &MoveArgs, local: &LocalStore) -> Result<Vec<Checksum>> {
    let mut names: HashMap<String, Vec<Checksum>> = HashMap::new();
    for (sha256, name) in stored(args, local)? {
        // An image without a name is named by its id.
        if let Some(name) = name {
            names.entry(name).or_default().push(sha256);
        }
    }
    let find = |text: &String| {
        if let Ok(sha256) = text.parse() {
            return Ok(sha256);
        }
        match names.get(text).map(Vec::as_slice) {
            Some([sha256]) => return Ok(*sha256),
            Some(several) => {
                bail!("{} images of `{}` are called `{text}`; name one by its id", several.len(), args.name)
            }
            None => {}
        }
        if !Path::new(text).is_file() {
            bail!("`{text}` is no id, no file name in `{}` and no file here", args.name);
        }
        Ok(Checksum::of(&fs::read(text).with_context(|| format!("cannot read {text}"))?))
    };
    args.images.iter().map(find).collect()
}
