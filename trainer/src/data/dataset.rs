//! A list of images with their classes.

use std::path::PathBuf;

use models::Labels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Checksum, Partition, Sample, Split, Subset, Warning};

/// Images with classes, in an order that depends only on their names.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The class names, by class number.
    pub labels: Labels,
    /// The images, in an order that depends only on their names.
    pub samples: Vec<Sample>,
    /// Files that were passed over because they are no images by their names.
    pub ignored: Vec<PathBuf>,
    /// What looks wrong and does not stop a run.
    pub warnings: Vec<Warning>,
    /// The published splits: of each, the subset of every sample, in their order. The samples carry the first.
    pub splits: Vec<Vec<Subset>>,
}

impl Dataset {
    pub(super) fn empty(labels: Labels) -> Self {
        Self { labels, samples: vec![], ignored: vec![], warnings: vec![], splits: vec![] }
    }

    /// Splits the images into subsets: those that the data set gives, and where it gives none, by partition and seed.
    #[must_use]
    pub fn split(&self, partition: Partition, seed: u64) -> Split {
        let images: Vec<_> = self.samples.iter().map(|sample| (sample.class, sample.subset)).collect();
        Split::new(&images, partition, seed)
    }

    /// Puts the images into the subsets of a published split, counted from zero; `None` if there is no such split.
    #[must_use]
    pub fn with_split(mut self, split: usize) -> Option<Self> {
        let subsets = self.splits.get(split)?;
        self.samples.iter_mut().zip(subsets).for_each(|(sample, &subset)| sample.subset = Some(subset));
        Some(self)
    }

    /// Forgets the subsets that the data set gives, so that a seed splits it anew.
    #[must_use]
    pub fn without_subsets(mut self) -> Self {
        self.samples.iter_mut().for_each(|sample| sample.subset = None);
        self
    }
}

/// What to do with images that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum BadFilePolicy {
    /// Refuse the data set and name the files.
    #[default]
    Refuse,
    /// Leave them out, and warn about each.
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
