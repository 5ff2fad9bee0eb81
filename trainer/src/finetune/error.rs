//! Why no model came of it.

use models::graph::GraphError;
use models::params::ParamsError;
use onnx::{EngineError, EngineKind, ExportError, FeatureExtractorError, ImportError};
use thiserror::Error;

use crate::backend::ExecError;
use crate::data::DatasetError;
use crate::finetune::features::CacheError;
use crate::finetune::golden::GoldenError;
use crate::finetune::head::HeadError;
use crate::fit::FitError;
use crate::options::OptionError;

/// Why no model came of it.
#[derive(Debug, Error)]
pub enum FinetuneError {
    /// The observer asked to stop.
    #[error("stopped")]
    Stopped,
    /// A number that makes no sense.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Layers of a base that has none to train.
    #[error(
        "`{base}` is kept as the file it was imported from, because graft cannot take it apart, so its layers cannot be \
         trained as `{strategy}` does; `head` works"
    )]
    Strategy {
        /// The base.
        base: String,
        /// What was asked for.
        strategy: &'static str,
    },
    /// The base is a file whose classifier cannot be replaced.
    #[error(transparent)]
    FeatureExtractor(#[from] FeatureExtractorError),
    /// The base is a file that takes no images.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The images are not a data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The base cannot be given a head.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The base's weights are not its graph's.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The model cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The executor failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The golden images failed.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The head cannot be trained.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The features cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Layers of the base cannot be trained.
    #[error(transparent)]
    Fit(FitError),
    /// Feature maps that do not fit into memory.
    #[error(
        "the feature maps of these images take {needed} MiB, more than {limit}; use fewer `views`, fewer images, or the \
         strategy `staged`"
    )]
    Memory {
        /// In MiB.
        needed: usize,
        /// In MiB.
        limit: usize,
    },
    /// The exported file gives other answers than the trained network.
    #[error("the exported model disagrees with the trained one on {engine}: {reason}; nothing is published")]
    Parity {
        /// Which engine.
        engine: EngineKind,
        /// Where, and by how much.
        reason: String,
    },
}

impl From<FitError> for FinetuneError {
    fn from(error: FitError) -> Self {
        match error {
            FitError::Stopped => FinetuneError::Stopped,
            error => FinetuneError::Fit(error),
        }
    }
}
