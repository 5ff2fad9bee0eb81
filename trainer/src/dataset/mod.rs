//! Images with classes.

mod folder;
mod oxford17;
mod split;

use std::path::{Path, PathBuf};

use models::Labels;
use models::params::hex;
use models::preprocess::{ImageError, Limits, probe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use split::{Fractions, Split};

/// Where the images are, and how their classes are to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A folder with one folder per class, named after it.
    Folder {
        /// The outer folder.
        path: PathBuf,
    },
    /// The Oxford 17 Category Flowers (Nilsback and Zisserman 2006): `image_0001.jpg` … `image_1360.jpg`, 80 a class in
    /// order.
    Oxford17 {
        /// The folder of the images, or the one that holds it as `jpg/`.
        path: PathBuf,
    },
}

impl Source {
    /// Lists the images for training, without reading them.
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read, fewer than two classes, or a class with too few images.
    pub fn open(&self) -> Result<Dataset, DatasetError> {
        let dataset = self.list()?;
        if dataset.labels.len() < 2 {
            return Err(DatasetError::Classes { path: self.path().to_owned(), found: dataset.labels.len() });
        }
        check_classes(&dataset.labels, &dataset.samples)?;
        Ok(dataset)
    }

    /// Lists the images, however few.
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read.
    pub fn list(&self) -> Result<Dataset, DatasetError> {
        match self {
            Source::Folder { path } => folder::list(path),
            Source::Oxford17 { path } => oxford17::list(path),
        }
    }

    /// The folder that was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Source::Folder { path } | Source::Oxford17 { path } => path,
        }
    }
}

/// Images with classes, in an order that depends only on their names.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The class names.
    pub labels: Labels,
    /// The images.
    pub samples: Vec<Sample>,
    /// Files that were passed over because they are no images by their names.
    pub ignored: Vec<PathBuf>,
}

/// One image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Its class.
    pub class: usize,
}

impl Sample {
    /// Reads the file and looks at its header: that it is an image, and not too large.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file.
    pub fn read(&self, limits: &Limits) -> Result<Vec<u8>, DatasetError> {
        let bytes = std::fs::read(&self.path).map_err(|source| DatasetError::read(&self.path, source))?;
        probe(&bytes, limits).map_err(|source| DatasetError::image(&self.path, source))?;
        Ok(bytes)
    }
}

/// What to do with an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadFiles {
    /// End the run and name the file.
    #[default]
    Refuse,
    /// Go on without it, and say so.
    Skip,
}

/// The checksum of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// SHA-256.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// A checksum over images and their classes, as lower-case hexadecimal: equal for equal data sets, wherever they are.
#[must_use]
pub fn checksum<'a>(labels: &'a Labels, images: impl IntoIterator<Item = (&'a Checksum, usize)>) -> String {
    let mut hash = Sha256::new();
    for (checksum, class) in images {
        hash.update(checksum.0);
        hash.update(labels.get(class).unwrap_or_default());
        hash.update([0]);
    }
    hex(&hash.finalize())
}

/// Why images are not a data set.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A folder or file that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is not a usable image.
    #[error("{path}: {source}")]
    Image {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ImageError,
    },
    /// One class, or none.
    #[error("{path} holds {found} class(es); a classifier needs at least two, each a folder of images")]
    Classes {
        /// The data set's folder.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// A class without enough images to train, validate and test with.
    #[error(
        "class `{class}` has {found} usable image(s); it needs at least 3, one each to train, validate and test with"
    )]
    TooFew {
        /// The class.
        class: String,
        /// How many images it has.
        found: usize,
    },
    /// Not the Oxford-17 files.
    #[error("{path} is not the Oxford-17 data set: {reason}")]
    Oxford17 {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
}

impl DatasetError {
    pub(crate) fn image(path: &Path, source: ImageError) -> Self {
        Self::Image { path: path.to_owned(), source }
    }

    fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

/// Every class needs one image for each part of the split.
///
/// # Errors
/// [`DatasetError::TooFew`] naming the first class that has fewer.
pub fn check_classes<'a>(labels: &Labels, samples: impl IntoIterator<Item = &'a Sample>) -> Result<(), DatasetError> {
    let mut counts = vec![0; labels.len()];
    samples.into_iter().for_each(|sample| counts[sample.class] += 1);
    match counts.iter().position(|&count| count < 3) {
        Some(class) => {
            Err(DatasetError::TooFew { class: labels.get(class).unwrap_or_default().to_owned(), found: counts[class] })
        }
        None => Ok(()),
    }
}
