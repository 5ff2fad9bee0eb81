//! Why a recipe is not followed.

use std::path::PathBuf;

use models::graph::GraphError;
use models::params::ParamsError;
use models::preprocess::PreprocessError;
use onnx::ExportError;
use thiserror::Error;

use super::{BUILTIN, SettingError};
use crate::data::DatasetError;
use crate::data::augment::AugmentError;
use crate::data::loader::LoaderError;
use crate::finetune::FinetuneError;
use crate::finetune::features::CacheError;
use crate::fit::FitError;
use crate::logs::LogError;
use crate::nearest;
use crate::options::OptionError;

/// A recipe cannot be followed, or its training failed.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// A name that is neither a recipe nor a file.
    #[error("there is no recipe `{name}`, and no file of that name; {hint}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest name, or how to list them.
        hint: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Text that is no recipe.
    #[error("the recipe cannot be parsed: {0}")]
    Text(String),
    /// A setting that cannot be parsed or applied.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A network that graft does not build.
    #[error("there is no network `{name}`{hint}; `graft arch list` lists the networks")]
    Network {
        /// The name that was given.
        name: String,
        /// The nearest name, if one is near.
        hint: String,
    },
    /// Images of several classes.
    #[error(
        "these images have several classes each, and recipes train networks whose classes exclude each other; \
         `graft finetune` trains on them"
    )]
    MultiLabel,
    /// A recipe upon a pretrained network that is not there.
    #[error(
        "this recipe needs the base `{base}`, and no model of that name is stored; get it with `graft pull {base}`"
    )]
    Base {
        /// The base model's name.
        base: String,
    },
    /// A teacher that cannot teach these classes.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// The new head cannot be trained.
    #[error(transparent)]
    Head(FinetuneError),
    /// A recipe that validates on a test subset that the data set does not have.
    #[error(
        "the recipe validates on the data set's test subset, and this data set has none; take a share with \
         `--set validation_set=0.1`"
    )]
    NoTestPart,
    /// A recipe that validates on more images of a class than then train.
    #[error(
        "the recipe validates on {validation} images of each class, and class `{class}` has {images} in all; take a share \
         with `--set validation_set=0.1`, or fewer with `--set validation.per-class={}`",
        images / 10 + 1
    )]
    Validation {
        /// Its name.
        class: String,
        /// How many images it has that may train or validate.
        images: usize,
        /// How many of them are to validate.
        validation: usize,
    },
    /// A run folder with checkpoints of other settings.
    #[error(
        "{} was started with other settings; resume with the same settings, or start another run with --run-id",
        .folder.display()
    )]
    OtherRecipe {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A run folder without a checkpoint to resume from.
    #[error("{} has no checkpoint to resume from; leave out --resume to start a new run", .folder.display())]
    NothingToResume {
        /// The run's folder.
        folder: PathBuf,
    },
    /// The accuracy that was asked for is not reached.
    #[error(
        "the best validation accuracy is {found:.4}, below the {wanted} that `best_val_accuracy` asks for; no model is \
         written, and the checkpoints remain"
    )]
    TooBad {
        /// The least accuracy that was asked for, 0..1.
        wanted: f64,
        /// The best validation accuracy, 0..1.
        found: f64,
    },
    /// The network does not take images of this size.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The weights are not the network's.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The images are not a data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An augmentation or preparation that makes no sense.
    #[error(transparent)]
    Augment(#[from] AugmentError),
    /// Images cannot be loaded.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// The training failed.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Measurements cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The network cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Why a model cannot teach.
#[derive(Debug, Error)]
pub enum TeacherError {
    /// The teacher is not stored.
    #[error("this recipe learns from `{model}`, and no model of that name is stored; import it under that name first")]
    Missing {
        /// The name that the recipe has.
        model: String,
    },
    /// It does not know the classes.
    #[error(
        "the teacher `{model}` has no class `{class}` ({missing} of the {classes} classes are missing); a teacher must know \
         every class of the images by the same name"
    )]
    Classes {
        /// What the recipe calls the teacher.
        model: String,
        /// The first class that it does not have.
        class: String,
        /// How many it does not have.
        missing: usize,
        /// How many there are.
        classes: usize,
    },
    /// Its preprocessing leaves images of different sizes.
    #[error("the teacher takes images of one size: {0}")]
    Batch(#[from] PreprocessError),
    /// Its answers cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl RecipeError {
    pub(super) fn unknown(name: &str) -> Self {
        let hint = match nearest(name, BUILTIN.iter().map(|named| named.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`graft train --list` lists the recipes".to_owned(),
        };
        Self::Unknown { name: name.to_owned(), hint }
    }

    pub(super) fn network(name: &str) -> Self {
        let near = nearest(name, models::zoo::all().map(|row| row.name()));
        let hint = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        Self::Network { name: name.to_owned(), hint }
    }
}

impl From<FinetuneError> for RecipeError {
    fn from(error: FinetuneError) -> Self {
        match error {
            FinetuneError::Stopped => Self::Fit(FitError::Stopped),
            FinetuneError::Fit(error) => Self::Fit(error),
            other => Self::Head(other),
        }
    }
}
