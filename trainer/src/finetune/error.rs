//! Errors of fine-tuning.

use models::graph::GraphError;
use models::params::ParamsError;
use models::preprocess::PreprocessError;
use onnx::{EngineError, EngineKind, ExportError, FeatureExtractorError, ImportError};
use thiserror::Error;

use crate::backend::ExecError;
use crate::data::DatasetError;
use crate::finetune::features::CacheError;
use crate::finetune::golden::GoldenError;
use crate::fit::FitError;
use crate::identity::IdentityError;
use crate::options::OptionError;

/// Why a run made no model.
#[derive(Debug, Error)]
pub enum FinetuneError {
    /// The observer asked to stop.
    #[error("stopped")]
    Stopped,
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A strategy that trains layers, on a base whose layers graft cannot train.
    #[error(
        "`{base}` is an opaque ONNX file: graft cannot parse it, so it cannot train its layers as `{strategy}` does; \
         use `head`"
    )]
    Strategy {
        /// The base's name.
        base: String,
        /// The strategy's name.
        strategy: &'static str,
    },
    /// The base is an opaque file whose classifier cannot be replaced.
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
    /// A cache key or the folder of a run cannot be named.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The feature cache cannot be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A weight for a class that there is not.
    #[error("`class_weights` names `{class}`, which is no class of these images{}", did_you_mean(nearest.as_deref()))]
    ClassWeights {
        /// As the request spells it.
        class: String,
        /// The class that is called nearly so.
        nearest: Option<String>,
    },
    /// Images cannot be prepared as the options say.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// Layers of the base cannot be trained.
    #[error(transparent)]
    Fit(FitError),
    /// Features that are no numbers.
    #[error(
        "the base computes numbers that are not finite for {} of {images} images, {image} among them; its weights or its \
         preprocessing do not suit these images: try `graft check` on the base, or another base",
        .count
    )]
    Features {
        /// How many images.
        count: usize,
        /// How many images there are.
        images: usize,
        /// The first of them.
        image: String,
    },
    /// Feature maps that do not fit into memory.
    #[error(
        "the feature maps of these images take {needed} MiB, more than {limit}; use fewer `views`, fewer images, or the \
         strategy `staged`"
    )]
    Memory {
        /// What they take, in MiB.
        needed: usize,
        /// What they may take, in MiB.
        limit: usize,
    },
    /// A head whose weights do not fit into memory.
    #[error(
        "two layers of 4096 on {features} features take {needed} MiB to train, more than {limit}; use `--head linear`, or a \
         base with fewer features"
    )]
    HeadMemory {
        /// How many features an image has.
        features: usize,
        /// What training takes, in MiB.
        needed: usize,
        /// What it may take, in MiB.
        limit: usize,
    },
    /// The exported file gives other answers than the trained network.
    #[error("the exported model disagrees with the trained one on {engine}: {reason}; nothing is published")]
    Parity {
        /// The engine that disagrees.
        engine: EngineKind,
        /// The image, and by how much.
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

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"))
}
