//! Batches of images for the training loop, made by threads ahead of it.
//!
//! What a batch holds depends on the order that it is asked for, the seed and the epoch, and on nothing else: the number
//! of threads changes when it is ready, never a bit of it.

mod batches;
mod cache;
mod error;
mod pipeline;
mod queue;

use std::num::NonZeroUsize;
use std::sync::Arc;

use models::Preprocess;
use models::ops::Normalize;
use models::preprocess::Limits;

use crate::data::augment::Augmentation;
use crate::data::{BadFile, BadFilePolicy, DatasetError, Sample};

pub use batches::{Batch, Batches, WaitingTime};
pub use error::LoaderError;

use batches::EpochSpec;
use pipeline::Pipeline;

/// How images become numbers.
#[derive(Debug, Clone)]
pub struct TransformSpec {
    /// The model's preprocessing; it must give all images one size.
    pub preprocess: Preprocess,
    /// What is done to them at random; nothing for validation.
    pub augmentation: Augmentation,
    /// How pixel levels become numbers.
    pub values: PixelValues,
    /// Seeds the augmentation.
    pub seed: u64,
}

/// The numbers of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum PixelValues {
    /// Levels, 0..=255, for networks that normalise by themselves, as all of graft's do.
    Levels,
    /// Levels less a mean, divided by a deviation, both of 0..=255 and for each of the three channels.
    Normalized(Normalize),
}

/// How batches are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Threads that decode and augment.
    pub threads: NonZeroUsize,
    /// Batches that may be ready or in the making before they are asked for.
    pub ahead: NonZeroUsize,
    /// Bytes of decoded images that are kept from one epoch to the next: enough for all of CIFAR-10 at 184 MB. When it is
    /// full, further images are decoded anew in each epoch.
    pub memory: usize,
    /// How large an image file may be.
    pub limits: Limits,
    /// What to do with an image that cannot be decoded.
    pub bad_files: BadFilePolicy,
}

impl Default for Resources {
    /// A thread for each core, four batches ahead, 256 MiB, bad files refused.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let ahead = NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN);
        let memory = 256 << 20;
        let (limits, bad_files) = (Limits::default(), BadFilePolicy::Refuse);
        Self { threads: cores, ahead, memory, limits, bad_files }
    }
}

/// Makes batches of a data set, epoch by epoch, and keeps what it has decoded between them.
#[derive(Debug)]
pub struct Loader {
    pipeline: Arc<Pipeline>,
    resources: Resources,
}

impl Loader {
    /// Prepares to load these samples; nothing is read yet.
    ///
    /// # Errors
    /// [`LoaderError::Transform`] for an augmentation or preprocessing that makes no sense, [`LoaderError::Size`] for one
    /// that leaves images of different sizes, [`LoaderError::Channels`] for a normalisation of other than three channels.
    pub fn new(samples: Arc<[Sample]>, spec: TransformSpec, resources: Resources) -> Result<Self, LoaderError> {
        Ok(Self { pipeline: Arc::new(Pipeline::new(samples, spec, resources)?), resources })
    }

    /// The batches of one epoch, of the samples at these positions in this order; the last may be smaller. Threads begin at once and end when the
    /// last batch is made, when one fails, or when the result is dropped.
    #[must_use]
    pub fn epoch(&self, order: Vec<usize>, epoch: u64, batch_size: NonZeroUsize) -> Batches {
        let epoch = EpochSpec { order: order.into(), number: epoch, batch_size };
        Batches::start(self.pipeline.clone(), self.resources, epoch)
    }

    /// The error with every file that cannot be decoded, where it is about one of them.
    #[must_use]
    pub fn name_all(&self, error: LoaderError) -> LoaderError {
        match error {
            LoaderError::Dataset(DatasetError::Image { .. } | DatasetError::Read { .. }) => {
                LoaderError::Dataset(DatasetError::BadFiles { files: self.pipeline.bad_files() })
            }
            other => other,
        }
    }

    /// The images that could not be decoded so far and were left out, in the order of the samples.
    #[must_use]
    pub fn skipped(&self) -> Vec<BadFile> {
        self.pipeline.skipped()
    }
}

#[cfg(test)]
mod tests;
