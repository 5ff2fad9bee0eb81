//! A stored model in fewer bits: what `graft quantize` and a job's process do alike.

mod failure;

use serde::{Deserialize, Serialize};
use trainer::data::{DatasetError, OpenOptions};
use trainer::evaluate::{EvaluateError, EvaluateOptions, EvaluateTask};
use trainer::events::Observer;
use trainer::finetune::ModelContent;
use trainer::finetune::golden::Golden;
use trainer::finetune::report::FinetuneReport;
use trainer::quantize::{self as quantization, QuantizationError, QuantizeOptions, QuantizeTask, Quantized};
use utoipa::ToSchema;

use crate::datasets::JobDataset;
use crate::optional::not_null;
use crate::run_context::RunContext;
use crate::runtime::Backends;
use crate::store::{Artifacts, ModelName, ModelStore, Publication, StoreError};
pub use failure::QuantizeFailure;

/// A request for a quantization, over HTTP and in the job database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuantizeRequest)]
pub struct QuantizeSpec {
    /// The model. It gets a new version: the same network in `f32`, and its other variants. If the version that is quantized is live,
    /// the new one takes its place.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    pub model: ModelName,
    /// Which version; the live one if it is left out.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, example = 3)]
    pub version: Option<u32>,
    /// The images that the model was trained on, or others of its classes: training images calibrate, test images measure.
    pub dataset: JobDataset,
    /// How to quantize; each option has a default.
    #[serde(default)]
    pub options: QuantizeOptions,
}

/// A version that was published with other variants.
#[derive(Debug, Clone)]
pub struct QuantizedModel {
    /// The model's name.
    pub name: ModelName,
    /// The new version.
    pub version: u32,
    /// The version that was quantized.
    pub source: u32,
    /// What was measured.
    pub quantized: Quantized,
}

/// Quantizes a version and publishes it with its other variants as the next version. The version itself is left as it is, and which
/// version is live is up to the caller.
///
/// # Errors
/// [`QuantizeFailure`]; the store is unchanged then.
pub fn run(
    context: &RunContext,
    spec: &QuantizeSpec,
    backends: &Backends,
    observer: &mut dyn Observer,
) -> Result<QuantizedModel, QuantizeFailure> {
    let store = ModelStore::open(&context.data.models_dir())?;
    store.refuse_built_in(&spec.model)?;
    let source = store.resolve(&spec.model, spec.version)?;
    let stored = store.read(&spec.model, source)?;
    let content = store.content(&spec.model, source)?;
    let input = QuantizeInput {
        name: &spec.model,
        version: Some(source),
        content: &content,
        golden: &stored.golden,
        dataset: &spec.dataset,
        options: spec.options,
    };
    let quantized = quantize(context, backends, &input, observer)?;
    if observer.stopped() {
        return Err(QuantizationError::Stopped.into());
    }
    let pictures = store.pictures(&spec.model, source)?;
    // The report of the training, which decided about another version.
    let report = stored.report.map(|report| {
        let quantization = Some(quantized.report.clone());
        FinetuneReport { deployment: None, quantization, ..report }
    });
    let artifacts = Artifacts {
        content: &content,
        golden: &stored.golden,
        report: report.as_ref(),
        pictures: &pictures,
        quantized: Some(&quantized),
    };
    let version = match &context.origin {
        None => store.publish(&spec.model, &artifacts),
        Some(origin) => {
            let permitted = || !observer.stopped();
            store.publish_once(&spec.model, &artifacts, &Publication { origin: origin.clone(), permitted: &permitted })
        }
    };
    let version = version.map_err(|error| match error {
        StoreError::Withdrawn => QuantizationError::Stopped.into(),
        error => QuantizeFailure::from(error),
    })?;
    Ok(QuantizedModel { name: spec.model.clone(), version, source, quantized })
}

/// A model that is stored or about to be, and the images to quantize it on.
pub(crate) struct QuantizeInput<'a> {
    pub(crate) name: &'a ModelName,
    /// Its version, if it is stored.
    pub(crate) version: Option<u32>,
    pub(crate) content: &'a ModelContent,
    pub(crate) golden: &'a [Golden],
    pub(crate) dataset: &'a JobDataset,
    pub(crate) options: QuantizeOptions,
}

/// Quantizes a model and stores nothing.
pub(crate) fn quantize(
    context: &RunContext,
    backends: &Backends,
    input: &QuantizeInput<'_>,
    observer: &mut dyn Observer,
) -> Result<Quantized, QuantizeFailure> {
    let QuantizeInput { name, version, content, golden, dataset, options } = *input;
    let images = dataset.locate(&context.data, &context.access)?;
    let onnx = content.onnx().map_err(QuantizationError::from)?;
    let spec = content.spec().map_err(QuantizationError::from)?;
    let QuantizeOptions { bad_files, max_megapixels, .. } = options;
    let task = QuantizeTask {
        model: EvaluateTask {
            model: name.as_str(),
            version,
            onnx: &onnx,
            spec: &spec,
            source: &images.source,
            access: &images.access,
            archives: &context.data.archives_dir(),
            options: EvaluateOptions { bad_files, max_megapixels, ..EvaluateOptions::default() },
            // The comparison is between forms of a file in the same kernels.
            engine: backends.engine.own_kernels(),
        },
        network: match content {
            ModelContent::Native(network) => Some(network),
            ModelContent::Opaque(_) => None,
        },
        golden,
        options,
    };
    Ok(quantization::quantize(&task, observer)?)
}

/// Checks a request without reading an image: the options, the model, and the listing of the data set.
///
/// # Errors
/// [`QuantizeFailure`] naming the model, option, class or path.
pub fn check(context: &RunContext, spec: &QuantizeSpec) -> Result<(), QuantizeFailure> {
    spec.options.validate()?;
    let store = ModelStore::open(&context.data.models_dir())?;
    store.refuse_built_in(&spec.model)?;
    let version = store.resolve(&spec.model, spec.version)?;
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let options = OpenOptions { access: &images.access, ..OpenOptions::default() };
    match images.source.list_in(&options) {
        // What is no data set to train on may be one to measure on, and archives are the job's part.
        Ok(_) | Err(DatasetError::Classes { .. } | DatasetError::Archive { .. }) => {}
        Err(error) => return Err(QuantizationError::from(error).into()),
    }
    let stored = store.read(&spec.model, version)?;
    if stored.spec.labels.is_none() {
        return Err(QuantizationError::from(EvaluateError::Backbone(spec.model.to_string())).into());
    }
    onnx::Quantizer::new(&stored.onnx).map_err(QuantizationError::from)?;
    Ok(())
}
