//! A list of images with their classes.

use std::fmt;

use models::Labels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::account::{Account, OmissionReason};
use super::sources::tree::{SourceFile, Tree};
use super::{Checksum, LabelSets, Layout, Partition, Sample, Split, Subset, Warning, classes_of};

/// Images with classes, in an order that depends only on their names.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The class names, by class number.
    pub labels: Labels,
    /// The sets of classes that its images have, where an image may have several (multi-label).
    pub label_sets: Option<LabelSets>,
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
        let warnings = tree.warnings;
        Self { labels, label_sets: None, samples, layout, evidence, account, warnings, splits: vec![], snapshot: None }
    }

    /// The classes of one of its images, ascending. Of a data set whose classes exclude each other it is one.
    #[must_use]
    pub fn classes_of<'a>(&'a self, sample: &'a Sample) -> &'a [usize] {
        classes_of(self.label_sets.as_ref(), &sample.class)
    }

    /// The names of the classes of one of its images.
    pub fn labels_of<'a>(&'a self, sample: &'a Sample) -> impl Iterator<Item = &'a str> {
        self.classes_of(sample).iter().map(|&class| self.labels.get(class).unwrap_or_default())
    }

    /// Whether an image may have several classes.
    #[must_use]
    pub fn is_multi_label(&self) -> bool {
        self.label_sets.is_some()
    }

    /// Says which classes each of its images has, in their order. Where each has one, classes exclude each other.
    pub(super) fn with_classes(mut self, classes: Vec<Vec<usize>>) -> Self {
        if classes.iter().all(|classes| classes.len() == 1) {
            self.samples.iter_mut().zip(classes).for_each(|(sample, classes)| sample.class = classes[0]);
            return self;
        }
        let (sets, numbers) = LabelSets::number(self.labels.len(), classes);
        self.samples.iter_mut().zip(numbers).for_each(|(sample, number)| sample.class = number);
        Self { label_sets: Some(sets), ..self }
    }

    /// Says the layout, and why it is this one.
    pub(super) fn understood(self, layout: Layout, evidence: String) -> Self {
        Self { layout, evidence, ..self }
    }

    /// Splits the images into subsets: those that the data set gives, and where it gives none, by partition and seed.
    #[must_use]
    pub fn split(&self, partition: Partition, seed: u64) -> Split {
        self.split_of(&self.samples, partition, seed)
    }

    /// Splits some of its images.
    #[must_use]
    pub fn split_of<'a>(
        &self,
        samples: impl IntoIterator<Item = &'a Sample>,
        partition: Partition,
        seed: u64,
    ) -> Split {
        let images: Vec<_> = samples.into_iter().map(|sample| (sample.class, sample.subset)).collect();
        self.split_numbered(&images, partition, seed)
    }

    /// Splits images whose classes, or numbers of sets, and given subsets these are.
    pub(crate) fn split_numbered(&self, images: &[(usize, Option<Subset>)], partition: Partition, seed: u64) -> Split {
        match &self.label_sets {
            None => Split::new(images, partition, seed),
            Some(sets) => Split::of_sets(images, sets, partition, seed),
        }
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

/// A snapshot of a stored data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SnapshotId {
    /// The name of the data set.
    #[cfg_attr(feature = "openapi", schema(example = "flowers"))]
    pub dataset: String,
    /// The number of the snapshot, from 1.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub number: u32,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset, self.number)
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

/// A checksum over images and the names of their classes, as lower-case hexadecimal: equal for equal data sets, wherever they
/// are.
#[must_use]
pub fn checksum<'a, L: Iterator<Item = &'a str>>(images: impl IntoIterator<Item = (&'a Checksum, L)>) -> String {
    let mut hash = Sha256::new();
    for (checksum, mut labels) in images {
        hash.update(checksum.0);
        hash.update(labels.next().unwrap_or_default());
        labels.for_each(|label| {
            hash.update("/");
            hash.update(label);
        });
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
