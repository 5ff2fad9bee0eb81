//! `graft demo`: a data set of drawings, so that the main job can be tried with nothing at hand.

mod drawing;
mod pictures;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use models::files::write_atomically;
use thiserror::Error;

pub use pictures::{THINGS, Thing};

/// The drawings cannot be written.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A file or folder.
    #[error("cannot write {}: {source}; choose another folder with --out", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No memory for a picture.
    #[error("there is no memory for a picture of 160x160 pixels")]
    Memory,
}

/// Draws so many pictures of each thing into a folder a thing below `folder`, and one more that is in none of them:
/// `unseen-NAME.png` beside the folders of the things. Files that are there are drawn again.
///
/// # Errors
/// [`DemoError`].
pub fn draw(folder: &Path, pictures: u64) -> Result<DemoPictures, DemoError> {
    let data = folder.join("pictures");
    for thing in THINGS {
        let class = data.join(thing.name());
        fs::create_dir_all(&class).map_err(at(&class))?;
        for number in 0..pictures {
            write(&class.join(format!("{:03}.png", number + 1)), thing, number)?;
        }
    }
    let unseen = THINGS.map(|thing| (thing, folder.join(format!("unseen-{}.png", thing.name()))));
    for (thing, path) in &unseen {
        write(path, *thing, pictures)?;
    }
    Ok(DemoPictures { data, unseen })
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoPictures {
    /// A folder with a folder of pictures for each thing.
    pub data: PathBuf,
    /// A picture of each thing that is not among them.
    pub unseen: [(Thing, PathBuf); THINGS.len()],
}

fn write(path: &Path, thing: Thing, seed: u64) -> Result<(), DemoError> {
    let picture = thing.draw(seed).ok_or(DemoError::Memory)?;
    write_atomically(path, &picture.to_png()).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DemoError {
    move |source| DemoError::Write { path: path.to_owned(), source }
}
