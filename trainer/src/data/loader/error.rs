//! Why there is no batch.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::data::DatasetError;
use crate::data::augment::AugmentError;

/// Why there is no batch, or no loader.
#[derive(Debug, Error)]
pub enum LoaderError {
    /// A file that is not a usable image.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An augmentation or preprocessing that makes no sense.
    #[error(transparent)]
    Transform(AugmentError),
    /// An image that does not go through.
    #[error("{path}: {source}")]
    Augment {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: AugmentError,
    },
    /// Images of different sizes.
    #[error("the model's preprocessing leaves images of different sizes, so they make no batch; give it a crop")]
    Size,
    /// A normalisation for other images.
    #[error("the normalisation has {means} means and {deviations} deviations; an image has three channels")]
    Channels {
        /// How many means.
        means: usize,
        /// How many deviations.
        deviations: usize,
    },
    /// A position behind the last sample.
    #[error("sample {index} is asked for, and there are {samples}, from 0; make the order from this data set")]
    Position {
        /// Which.
        index: usize,
        /// How many there are.
        samples: usize,
    },
    /// A bug in what decodes or augments.
    #[error("the loader failed at {path}: {message}; please report this with the image")]
    Panic {
        /// The image.
        path: PathBuf,
        /// What was said.
        message: String,
    },
    /// No thread could be started, or all of them ended.
    #[error("no thread loads images: {0}; allow this process more threads, or load with fewer")]
    Threads(String),
}

impl LoaderError {
    pub(super) fn augment(path: &Path, source: AugmentError) -> Self {
        Self::Augment { path: path.to_owned(), source }
    }
}
