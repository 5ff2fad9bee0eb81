//! Why there is no batch.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::data::DatasetError;
use crate::data::augment::AugmentError;

/// A batch cannot be loaded, or a loader cannot be made.
#[derive(Debug, Error)]
pub enum LoaderError {
    /// A file that is not a usable image.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An augmentation or preprocessing that makes no sense.
    #[error(transparent)]
    Transform(AugmentError),
    /// An image that cannot be augmented or resized.
    #[error("{path}: {source}")]
    Augment {
        /// The image's file.
        path: PathBuf,
        /// The augmentation's error.
        source: AugmentError,
    },
    /// Images of different sizes.
    #[error("the model's preprocessing leaves images of different sizes, so they cannot be batched; give it a crop")]
    Size,
    /// A normalization that is not for three channels.
    #[error("the normalization has {means} means and {deviations} deviations; an image has three channels")]
    Channels {
        /// How many means it has.
        means: usize,
        /// How many deviations it has.
        deviations: usize,
    },
    /// A position behind the last sample.
    #[error("sample {index} does not exist: there are {samples} samples, from 0; make the order from this data set")]
    Position {
        /// The position.
        index: usize,
        /// How many samples there are.
        samples: usize,
    },
    /// A panic while decoding or augmenting an image: a bug in graft.
    #[error("the loader failed at {path}: {message}; please report this with the image")]
    Panic {
        /// The image's file.
        path: PathBuf,
        /// The panic's message.
        message: String,
    },
    /// No thread could be started, or all of them ended.
    #[error("no thread can load images: {0}; allow this process more threads, or load with fewer")]
    Threads(String),
}

impl LoaderError {
    pub(super) fn augment(path: &Path, source: AugmentError) -> Self {
        Self::Augment { path: path.to_owned(), source }
    }
}
