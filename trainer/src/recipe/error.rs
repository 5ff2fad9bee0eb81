//! Why a recipe is not followed.

use std::path::PathBuf;

use models::graph::GraphError;
use models::params::ParamsError;
use onnx::ExportError;
use thiserror::Error;

use super::nearest::nearest;
use super::{BUILTIN, SettingError};
use crate::data::DatasetError;
use crate::data::augment::AugmentError;
use crate::data::loader::LoaderError;
use crate::finetune::head::HeadError;
use crate::fit::FitError;
use crate::logs::LogError;
use crate::options::OptionError;

/// Why a recipe is not followed, or came to nothing.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// No recipe, and no file.
    #[error("there is no recipe `{name}`, and no file of that name; {hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What to do.
        hint: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Text that is no recipe.
    #[error("the recipe is not understood: {0}")]
    Text(String),
    /// A setting that is not understood.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An option that makes no sense.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A network that graft does not build.
    #[error("there is no network `{name}`{hint}; `graft arch list` lists those that there are")]
    Network {
        /// What was asked for.
        name: String,
        /// The nearest.
        hint: String,
    },
    /// A recipe upon a pretrained network that is not there.
    #[error("this recipe grafts upon `{base}`, and no model of that name is stored; get it with `graft pull {base}`")]
    Base {
        /// Which.
        base: String,
    },
    /// The new head cannot be trained.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A part that is not there.
    #[error(
        "the recipe validates on the data set's test part, and this data set has none; take a share with \
         `--set validation_set=0.1`"
    )]
    NoTestPart,
    /// A run of other settings.
    #[error(
        "{} was begun with other settings; resume with the same, or begin another run with --run-id",
        .folder.display()
    )]
    OtherRecipe {
        /// The run's folder.
        folder: PathBuf,
    },
    /// Nothing to go on from.
    #[error("{} has no checkpoint to go on from; leave out --resume to begin", .folder.display())]
    NothingToResume {
        /// The run's folder.
        folder: PathBuf,
    },
    /// The accuracy that was asked for is not reached.
    #[error(
        "the best validation accuracy is {found:.4}, below the {wanted} that `best_val_accuracy` asks for; no model is \
         written, the checkpoints remain"
    )]
    TooBad {
        /// What was asked for, 0..1.
        wanted: f64,
        /// What was reached, 0..1.
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

impl RecipeError {
    pub(super) fn unknown(name: &str) -> Self {
        let hint = match nearest(name, BUILTIN.iter().map(|named| named.name)) {
            Some(near) => format!("is `{near}` meant?"),
            None => "`graft train --list` lists the recipes".to_owned(),
        };
        Self::Unknown { name: name.to_owned(), hint }
    }

    pub(super) fn network(name: &str) -> Self {
        let near = nearest(name, models::zoo::all().map(|row| row.name()));
        let hint = near.map_or(String::new(), |near| format!(", is `{near}` meant?"));
        Self::Network { name: name.to_owned(), hint }
    }
}
