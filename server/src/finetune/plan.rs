//! What a fine-tune would do, without training anything.

use serde::{Deserialize, Serialize};
use trainer::data::{BadFilePolicy, OpenOptions};
use trainer::events::Observer;
use trainer::finetune::{self as training, Base, Task, TrainingPlan};
use utoipa::ToSchema;

use super::{FinetuneFailure, FinetuneSpec};
use crate::datasets::DatasetFindings;
use crate::run_context::RunContext;
use crate::runtime::Backends;
use crate::store::ModelStore;

/// What a fine-tune would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FinetunePlan {
    /// The stored model that would get a new head.
    #[schema(example = "squeezenet")]
    pub base_model: String,
    /// The version of the base that would be used.
    #[schema(example = 1)]
    pub base_version: u32,
    /// The images, and what is wrong with them.
    pub dataset: DatasetFindings,
    /// Options, time and memory.
    #[serde(flatten)]
    pub plan: TrainingPlan,
}

/// Plans a fine-tune: reads every image, and times the base on a few of them.
///
/// # Errors
/// [`FinetuneFailure`] for what [`run`](super::run) refuses as well, but for files that cannot be used, which are named.
pub fn plan(
    context: &RunContext,
    spec: &FinetuneSpec,
    backends: &Backends,
    observer: &mut dyn Observer,
) -> Result<FinetunePlan, FinetuneFailure> {
    spec.options.validate()?;
    spec.deploy.validate()?;
    let store = ModelStore::open(&context.data.models_dir())?;
    let version = store.resolve(&spec.base_model, None)?;
    let base = Base::new(store.content(&spec.base_model, version)?, backends.engine.kind, backends.engine.threads)?
        .with_decoding(spec.options.decoding)?;
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let folders = context.data.training_folders();
    let options = OpenOptions { access: &images.access, archives: Some(&folders.archives), ..OpenOptions::default() };
    let dataset = images.source.list_in(&options)?;
    let inspection = dataset.inspect(BadFilePolicy::Skip, &spec.options.limits())?;
    let task = Task {
        base_name: spec.base_model.as_str(),
        base: &base,
        source: &images.source,
        access: &images.access,
        options: spec.options.clone(),
        folders: &folders,
        engine: backends.engine.spec(),
        backend: &backends.kernels.kernels,
    };
    let plan = training::plan(&task, observer)?;
    Ok(FinetunePlan {
        base_model: spec.base_model.to_string(),
        base_version: version,
        dataset: DatasetFindings::new(&images.source, &dataset, &inspection, &spec.options),
        plan,
    })
}
