//! An evaluation of a stored model: what `graft evaluate` and a job's process do alike.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trainer::data::{DatasetError, OpenOptions};
use trainer::evaluate::{self as evaluation, EvaluateError, EvaluateOptions, EvaluateTask, EvaluationReport};
use trainer::events::Observer;
use utoipa::ToSchema;

use crate::datasets::{JobDataset, MissingSnapshot};
use crate::failure::{STORAGE_FULL, STORE_FAILED, is_full_disk};
use crate::run_context::RunContext;
use crate::runtime::Backends;
use crate::store::{ModelName, ModelStore, StoreError, StoredModel};

/// A request for an evaluation, over HTTP and in the job database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EvaluateRequest)]
pub struct EvaluateSpec {
    /// The stored model that is measured.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    pub model: ModelName,
    /// Which version; the live one if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, example = 3)]
    pub version: Option<u32>,
    /// The images. Their classes are matched with the model's by name.
    pub dataset: JobDataset,
    /// How to evaluate; each option has a default.
    #[serde(default)]
    pub options: EvaluateOptions,
}

/// Why there is no evaluation.
#[derive(Debug, Error)]
pub enum EvaluateFailure {
    /// The model is not there, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot of the data set is not there.
    #[error(transparent)]
    Snapshot(#[from] MissingSnapshot),
    /// The evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

impl EvaluateFailure {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            failure if is_full_disk(failure) => STORAGE_FULL,
            Self::Store(StoreError::Unknown { .. } | StoreError::UnknownVersion { .. }) => "unknown_model",
            Self::Store(StoreError::Taken(_)) => "invalid_option",
            Self::Store(_) => STORE_FAILED,
            Self::Snapshot(_) => "invalid_dataset",
            Self::Evaluate(error) => match error {
                EvaluateError::Stopped => "stopped",
                EvaluateError::Option(_) => "invalid_option",
                EvaluateError::Backbone(_) | EvaluateError::MultiLabel(_) => "not_evaluable",
                EvaluateError::Dataset(_)
                | EvaluateError::UnknownClasses { .. }
                | EvaluateError::Unlabeled { .. }
                | EvaluateError::NoSubset(_)
                | EvaluateError::NoImages => "invalid_dataset",
                EvaluateError::Engine(_) => "evaluation_failed",
            },
        }
    }

    /// Whether the request is at fault, so that its client learns why.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self.code(), STORAGE_FULL | STORE_FAILED | "stopped" | "evaluation_failed")
    }
}

/// What was found out about a version of the store.
#[derive(Debug)]
pub struct EvaluatedVersion {
    /// The version that the images were given to.
    pub version: u32,
    /// How it did.
    pub report: EvaluationReport,
}

/// Evaluates a version of the store.
///
/// # Errors
/// [`EvaluateFailure`].
pub fn run(
    context: &RunContext,
    spec: &EvaluateSpec,
    backends: &Backends,
    observer: &mut dyn Observer,
) -> Result<EvaluatedVersion, EvaluateFailure> {
    let StoredModel { version, onnx, spec: model, .. } = stored(context, spec)?;
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let task = EvaluateTask {
        model: spec.model.as_str(),
        version: Some(version),
        onnx: &onnx,
        spec: &model,
        source: &images.source,
        access: &images.access,
        archives: &context.data.archives_dir(),
        options: spec.options,
        engine: backends.engine.spec(),
    };
    Ok(EvaluatedVersion { version, report: evaluation::evaluate(&task, observer)? })
}

/// Checks a request without reading an image: the options, the model, and the listing of the data set.
///
/// # Errors
/// [`EvaluateFailure`] naming the model, option, class or path.
pub fn check(context: &RunContext, spec: &EvaluateSpec) -> Result<(), EvaluateFailure> {
    spec.options.validate()?;
    if stored(context, spec)?.spec.labels.is_none() {
        return Err(EvaluateError::Backbone(spec.model.to_string()).into());
    }
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let options = OpenOptions { access: &images.access, ..OpenOptions::default() };
    match images.source.list_in(&options) {
        // What is no data set to train on may be one to evaluate on, and archives are the job's part.
        Ok(_) | Err(DatasetError::Classes { .. } | DatasetError::Archive { .. }) => Ok(()),
        Err(error) => Err(EvaluateError::from(error).into()),
    }
}

fn stored(context: &RunContext, spec: &EvaluateSpec) -> Result<StoredModel, StoreError> {
    let store = ModelStore::open(&context.data.models_dir())?;
    let version = store.resolve(&spec.model, spec.version)?;
    store.read(&spec.model, version)
}
