//! A list of images with their classes.

use models::Labels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::account::{Account, OmissionReason};
use super::sources::tree::{SourceFile, Tree};
use super::{Checksum, DatasetError, Layout, Partition, Sample, SnapshotId, Split, Subset, Warning, check_classes};

/// Images with classes, in an order that depends only on their names.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The class names, by class number.
    pub labels: Labels,
    /// The images, in an order that depends only on their names.
    pub samples: Vec<Sample>,
    /// How the images are laid out; never `auto` or `folder`.
    pub layout: Layout,
    /// Why it is this layout, as a sentence.
    pub evidence: String,
    /// Every other entry: left out for a reason, or at fault.
    pub account: Account,
    /// What looks wrong and does not stop a run.
    pub warnings: Vec<Warning>,
    /// The published splits: of each, the subset of every sample, in their order. The samples carry the first.
    pub splits: Vec<Vec<Subset>>,
    /// The snapshot of a stored data set that these are the images of.
    pub snapshot: Option<SnapshotId>,
}

impl Dataset {
    /// Decides for each file of a tree what becomes of it. Samples are in the order of the tree.
    pub(super) fn sort_out(tree: Tree, labels: Labels, decide: impl Fn(&SourceFile) -> FileUse) -> Self {
        let (mut samples, mut account) = (Vec::new(), tree.account.clone());
        for file in &tree.files {
            let path = tree.display_path(file);
            match decide(file) {
                FileUse::Sample { class, subset } => {
                    samples.push(Sample::new(path, class, file.content.clone()).within(subset));
                }
                FileUse::Read => {}
                FileUse::Omitted(reason) => account.omit(reason, &path),
            }
        }
        let (layout, evidence) = (Layout::Auto, String::new());
        Self { labels, samples, layout, evidence, account, warnings: tree.warnings, splits: vec![], snapshot: None }
    }

    /// Says the layout, and why it is this one.
    pub(super) fn understood(self, layout: Layout, evidence: String) -> Self {
        Self { layout, evidence, ..self }
    }

    /// Whether it can be trained on, as far as that shows without reading images.
    ///
    /// # Errors
    /// [`DatasetError::Classes`] for fewer than two classes, [`DatasetError::BadFiles`] for faulty entries that the policy
    /// refuses, [`DatasetError::TooFew`] for a class with too few images.
    pub fn check(&self, policy: BadFilePolicy) -> Result<(), DatasetError> {
        let faults = self.account.faults();
        if policy == BadFilePolicy::Refuse && !faults.is_empty() {
            return Err(DatasetError::BadFiles { files: faults.to_vec() });
        }
        check_classes(&self.labels, &self.samples)
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

/// What becomes of one file of a walk. There is no other way for a file to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileUse {
    /// It is an image of this class.
    Sample {
        class: usize,
        /// The subset that the data set puts it in, if it does.
        subset: Option<Subset>,
    },
    /// It describes the images and was read.
    Read,
    /// It is left out.
    Omitted(OmissionReason),
}

impl FileUse {
    /// An image of this class that no subset is given for.
    pub(super) fn sample(class: usize) -> Self {
        Self::Sample { class, subset: None }
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
