//! Images with classes.

mod archive;
pub mod augment;
mod bmp;
mod check;
mod cifar10;
mod content;
mod error;
mod layout;
pub mod loader;
mod matlab;
pub mod mixing;
mod oxford17;
mod sample;
pub mod sampling;
mod source;
mod split;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod tree;

use std::path::PathBuf;

use models::Labels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use archive::{ArchiveError, ArchiveLimits};
pub use check::{Inspection, check_classes, doubles};
pub use error::{BadFile, DatasetError, Warning};
pub use sample::{Checksum, Sample};
pub use source::{DatasetSource, Opening};
pub use split::{Counts, Fractions, Part, Partition, Split};

/// Images with classes, in an order that depends only on their names.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The class names.
    pub labels: Labels,
    /// The images.
    pub samples: Vec<Sample>,
    /// Files that were passed over because they are no images by their names.
    pub ignored: Vec<PathBuf>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
    /// The published divisions, for each its parts in the order of the samples; the samples carry the first.
    pub divisions: Vec<Vec<Part>>,
}

impl Dataset {
    fn empty(labels: Labels) -> Self {
        Self { labels, samples: vec![], ignored: vec![], warnings: vec![], divisions: vec![] }
    }

    /// Divides the images: by the parts that the data set gives, and where it gives none, by the partition and the seed.
    #[must_use]
    pub fn split(&self, partition: Partition, seed: u64) -> Split {
        let images: Vec<_> = self.samples.iter().map(|sample| (sample.class, sample.part)).collect();
        Split::new(&images, partition, seed)
    }

    /// Puts the images into the parts of a published division, counted from zero; `None` if there is no such.
    #[must_use]
    pub fn divided(mut self, division: usize) -> Option<Self> {
        let parts = self.divisions.get(division)?;
        self.samples.iter_mut().zip(parts).for_each(|(sample, &part)| sample.part = Some(part));
        Some(self)
    }

    /// Forgets the parts that the data set gives, so that a seed divides it anew.
    #[must_use]
    pub fn undivided(mut self) -> Self {
        self.samples.iter_mut().for_each(|sample| sample.part = None);
        self
    }
}

/// What to do with an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadFilePolicy {
    /// End the run and name the file.
    #[default]
    Refuse,
    /// Go on without it, and say so.
    Skip,
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
    hex::encode(hash.finalize())
}
