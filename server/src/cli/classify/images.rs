//! Which images are classified.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use trainer::data::{FileAccess, pictures};

/// Images, folders of them, and lists.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    /// Image files, or folders with image files anywhere in them
    #[arg(required_unless_present = "list", value_name = "IMAGE|FOLDER")]
    images: Vec<PathBuf>,

    /// A file with the path of an image in each line; `-` is standard input
    #[arg(long, env = "GRAFT_LIST", value_name = "FILE")]
    list: Option<PathBuf>,
}

impl ImageArgs {
    /// These files.
    pub(super) fn of(images: Vec<PathBuf>) -> Self {
        Self { images, list: None }
    }

    /// The image files, those of a folder in the order of their names. Whatever is named itself is taken for an image.
    pub(super) fn list(&self) -> Result<Vec<PathBuf>> {
        let mut images = Vec::new();
        for path in &self.images {
            if path.is_dir() {
                let found = pictures(path, &FileAccess::Everywhere)?;
                if found.is_empty() {
                    bail!("{} holds no image", path.display());
                }
                images.extend(found);
            } else {
                images.push(path.clone());
            }
        }
        if let Some(list) = &self.list {
            let listed = lines(list).with_context(|| list.display().to_string())?;
            if listed.is_empty() {
                bail!("{} names no image; write a path in each line", list.display());
            }
            images.extend(listed);
        }
        Ok(images)
    }
}

fn lines(list: &Path) -> std::io::Result<Vec<PathBuf>> {
    let reader: Box<dyn BufRead> = match list.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(list)?)),
    };
    let mut paths = Vec::new();
    for line in reader.lines() {
        let line = line?;
        let line = line.trim_start_matches('\u{feff}').trim_end_matches('\r');
        if !line.is_empty() {
            paths.push(PathBuf::from(line));
        }
    }
    Ok(paths)
}
