//! A fine-tuning run on the store: what `graft finetune` and a job's process do alike.

mod checker;
mod dataset_check;
mod deploy;
mod plan;

use onnx::{FeatureExtractorError, ModelFile};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trainer::data::{ArchiveError, DatasetError, OpenOptions};
use trainer::evaluate::EvaluateError;
use trainer::events::{Event, Observer};
use trainer::finetune::report::FinetuneReport;
use trainer::finetune::{self as training, Base, DeployDecision, FinetuneError, FinetuneOptions, Finetuned, Task};
use trainer::quantize::{ModelPrecision, QuantizationError, QuantizeOptions, Quantized};
use utoipa::ToSchema;

use crate::datasets::{JobDataset, MissingSnapshot};
use crate::failure::{STORAGE_FULL, STORE_FAILED, chain, is_full_disk};
use crate::outbound::HttpUrl;
use crate::quantize::{QuantizeFailure, QuantizeInput, quantize};
use crate::run_context::RunContext;
use crate::runtime::Backends;
use crate::store::{Artifacts, ModelName, ModelStore, Publication, StoreError};
pub use checker::JobChecker;
pub use dataset_check::{CheckSpec, DatasetCheck, LabelCheck, check_dataset};
use deploy::{Candidate, decide};
pub use deploy::{DeployError, DeployMode, DeployOptions};
pub(crate) use deploy::{SHADOW_SHARE, deployment_event};
pub use plan::{FinetunePlan, plan};

/// A request for a fine-tune, over HTTP and in the job database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FinetuneRequest)]
pub struct FinetuneSpec {
    /// The base model: a classifier, whose head is replaced, or a backbone. Without it, the model that graft comes with.
    #[serde(default = "ModelName::starter")]
    #[schema(value_type = String, example = "squeezenet", default = "starter", min_length = 1, max_length = 64)]
    pub base_model: ModelName,
    /// The labeled images: files of the server, or a stored data set.
    pub dataset: JobDataset,
    /// The name under which the result is published. An existing model of this name gets a new version, which answers if
    /// `deploy` says so.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    pub name: ModelName,
    /// How to train; each option has a default.
    #[serde(default)]
    pub options: FinetuneOptions,
    /// What becomes of the new version. Without it, the version that answers goes on.
    #[serde(default, skip_serializing_if = "DeployOptions::is_default")]
    pub deploy: DeployOptions,
    /// The address that is told when the fine-tune has ended; its host is one of the server's `--webhook-host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, format = "uri", max_length = 2048, example = "https://hooks.example.org/graft")]
    pub webhook: Option<HttpUrl>,
}

/// A version that was just published, with what was measured on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedModel {
    /// The model's name.
    pub name: ModelName,
    /// The new version.
    pub version: u32,
    /// The options, times and metrics of the run.
    pub report: FinetuneReport,
}

/// Why no model was published.
#[derive(Debug, Error)]
pub enum FinetuneFailure {
    /// The base is not there, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot of the data set is not there.
    #[error(transparent)]
    Snapshot(#[from] MissingSnapshot),
    /// What is to become of the new version makes no sense.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The live version cannot be compared with the new one.
    #[error("the live version cannot be measured on the test images: {0}")]
    Gate(EvaluateError),
    /// The training failed.
    #[error(transparent)]
    Finetune(#[from] FinetuneError),
}

impl FinetuneFailure {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            failure if is_full_disk(failure) => STORAGE_FULL,
            FinetuneFailure::Store(StoreError::Unknown { .. } | StoreError::UnknownVersion { .. }) => "unknown_model",
            FinetuneFailure::Snapshot(_) => "invalid_dataset",
            FinetuneFailure::Finetune(FinetuneError::Stopped) => "stopped",
            FinetuneFailure::Finetune(FinetuneError::Strategy { .. } | FinetuneError::FeatureExtractor(_)) => {
                "not_trainable"
            }
            FinetuneFailure::Store(StoreError::BuiltIn { .. } | StoreError::Taken(_))
            | FinetuneFailure::Finetune(FinetuneError::Option(_))
            | FinetuneFailure::Deploy(_) => "invalid_option",
            FinetuneFailure::Gate(_) => "gate_failed",
            FinetuneFailure::Finetune(FinetuneError::Dataset(_)) => "invalid_dataset",
            FinetuneFailure::Finetune(FinetuneError::Parity { .. }) => "parity_failed",
            FinetuneFailure::Store(_) => STORE_FAILED,
            FinetuneFailure::Finetune(_) => "training_failed",
        }
    }
}

impl From<DatasetError> for FinetuneFailure {
    fn from(error: DatasetError) -> Self {
        Self::Finetune(error.into())
    }
}

/// Trains, compares and publishes. Asks the observer once more right before publishing, so that a run which was told to
/// stop publishes nothing.
///
/// # Errors
/// [`FinetuneFailure`]; the store is unchanged then.
pub fn run(
    context: &RunContext,
    spec: &FinetuneSpec,
    backends: &Backends,
    observer: &mut dyn Observer,
) -> Result<PublishedModel, FinetuneFailure> {
    spec.deploy.validate()?;
    let store = ModelStore::open(&context.data.models_dir())?;
    store.refuse_built_in(&spec.name)?;
    let version = store.resolve(&spec.base_model, None)?;
    let content = store.content(&spec.base_model, version)?;
    let base =
        Base::new(content, backends.engine.kind, backends.engine.threads)?.with_decoding(spec.options.decoding)?;
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let task = Task {
        base_name: spec.base_model.as_str(),
        base: &base,
        source: &images.source,
        access: &images.access,
        options: spec.options.clone(),
        folders: &context.data.training_folders(),
        engine: backends.engine.spec(),
        backend: &backends.kernels.kernels,
    };
    let Finetuned { content, mut report, golden, pictures, measured } = training::finetune(&task, observer)?;
    let quantized = match spec.options.precision {
        ModelPrecision::F32 => None,
        ModelPrecision::Auto => {
            let (name, dataset, options) = (&spec.name, &spec.dataset, quantize_options(&spec.options));
            let input = QuantizeInput { name, version: None, content: &content, golden: &golden, dataset, options };
            quantized(context, backends, &input, observer)?
        }
    };
    report.quantization = quantized.as_ref().map(|quantized| quantized.report.clone());
    let candidate = Candidate { spec, report: &report, measured: &measured, store: &store, backends };
    let deployment = decide(&candidate, observer)?;
    let decision = deployment.decision;
    observer.event(deployment_event(&deployment));
    report.deployment = Some(deployment);
    if observer.stopped() {
        return Err(FinetuneError::Stopped.into());
    }
    let artifacts = Artifacts {
        content: &content,
        golden: &golden,
        report: Some(&report),
        pictures: &pictures,
        quantized: quantized.as_ref(),
    };
    let permitted = || !observer.stopped();
    let origin = context.origin.clone();
    let publication = origin.map(|origin| Publication { origin, permitted: &permitted });
    let version = match (decision, &publication) {
        (DeployDecision::Refused, publication) => store.publish_held(&spec.name, &artifacts, publication.as_ref()),
        (_, None) => store.publish(&spec.name, &artifacts),
        (_, Some(publication)) => store.publish_once(&spec.name, &artifacts, publication),
    };
    Ok(PublishedModel { name: spec.name.clone(), version: version.map_err(unpublished)?, report })
}

/// Why the store took no version: a job that may not publish any more was stopped.
fn unpublished(error: StoreError) -> FinetuneFailure {
    match error {
        StoreError::Withdrawn => FinetuneError::Stopped.into(),
        error => error.into(),
    }
}

fn quantize_options(options: &FinetuneOptions) -> QuantizeOptions {
    QuantizeOptions {
        bad_files: options.bad_files,
        max_megapixels: options.max_megapixels,
        ..QuantizeOptions::default()
    }
}

/// The variants of a new model. One that cannot have them is published without: the training was not for nothing.
fn quantized(
    context: &RunContext,
    backends: &Backends,
    input: &QuantizeInput<'_>,
    observer: &mut dyn Observer,
) -> Result<Option<Quantized>, FinetuneFailure> {
    match quantize(context, backends, input, observer) {
        Ok(quantized) => Ok(Some(quantized)),
        Err(QuantizeFailure::Quantization(QuantizationError::Stopped)) => Err(FinetuneError::Stopped.into()),
        Err(failure) => {
            let message =
                format!("the model is stored in f32 alone, because it was not quantized: {}", chain(&failure));
            observer.event(Event::Warning { message });
            Ok(None)
        }
    }
}

/// Checks a request without reading an image: the options, the base, the listing of the data set, and the classes that the
/// options name. The job finds what is wrong with the images.
///
/// # Errors
/// [`FinetuneFailure`] naming the model, option, class or path.
pub fn check(context: &RunContext, spec: &FinetuneSpec) -> Result<(), FinetuneFailure> {
    spec.options.validate()?;
    spec.deploy.validate()?;
    let store = ModelStore::open(&context.data.models_dir())?;
    store.refuse_built_in(&spec.name)?;
    let (base, version) = (&spec.base_model, store.resolve(&spec.base_model, None)?);
    if store.is_opaque(base, version)? {
        training::head_alone(base.as_str(), spec.options.strategy)?;
        let file = ModelFile::decode(store.read(base, version)?.onnx).map_err(FeatureExtractorError::from);
        file.and_then(|file| file.feature_extractor()).map_err(FinetuneError::from)?;
    }
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let options = OpenOptions { access: &images.access, ..OpenOptions::default() };
    match images.source.open_in(&options, spec.options.bad_files) {
        // Listing a compressed tar means decompressing it, which is the job's part.
        Err(DatasetError::Archive { source: ArchiveError::Cache, .. }) => Ok(()),
        listing => Ok(spec.options.class_weights.check(&listing?.labels)?),
    }
}
