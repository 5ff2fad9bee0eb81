//! Why there is no evaluation.

use std::path::PathBuf;

use models::Labels;
use onnx::EngineError;
use thiserror::Error;

use crate::data::{DatasetError, quoted};
use crate::options::OptionError;

/// How many classes a message names.
pub(super) const NAMED: usize = 6;

/// A model cannot be evaluated on these images.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The observer asked to stop.
    #[error("stopped")]
    Stopped,
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The model has no classes.
    #[error("`{0}` is a backbone without classes; graft a head onto it with `graft finetune` first")]
    Backbone(String),
    /// Images of several classes, and a model whose classes exclude each other.
    #[error(
        "the images have several classes each (multi-label), and those of `{0}` exclude each other; evaluate it on images of \
         one class each, or train a model on images of several classes"
    )]
    MultiLabel(String),
    /// The images are not a data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// No class of the images is one of the model's.
    #[error(
        "none of the images' classes ({found}) is one of the model's ({known}); rename the folders after the model's \
         classes, or evaluate another model"
    )]
    UnknownClasses {
        /// The classes of the images.
        found: String,
        /// The classes of the model.
        known: String,
    },
    /// Pictures that no folder tells the class of.
    #[error(
        "{} holds no folder of pictures that is called as a class of the model ({known}); put each picture into a folder of \
         its class",
        .path.display()
    )]
    Unlabeled {
        /// The folder of images.
        path: PathBuf,
        /// The classes of the model.
        known: String,
    },
    /// A subset that is neither given nor can be drawn again.
    #[error(
        "the data set gives no `{0}` images, and the model was not trained on exactly these images, so that they cannot be \
         drawn as they were then; ask for the subset `all`"
    )]
    NoSubset(&'static str),
    /// No image is left.
    #[error(
        "there is no image to evaluate the model on; name a folder with pictures of its classes, or another subset"
    )]
    NoImages,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl EvaluateError {
    pub(super) fn unlabeled(path: PathBuf, known: &Labels) -> Self {
        Self::Unlabeled { path, known: quoted(known.names(), NAMED) }
    }
}
