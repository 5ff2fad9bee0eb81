//! What may be wrong with a data set, found by reading every image of it.

use serde::{Deserialize, Serialize};
use trainer::backend::ComputeBackend;
use trainer::data::{BadFilePolicy, Dataset, DatasetSource, FileAccess, OpenOptions};
use trainer::events::Observer;
use trainer::finetune::{self as training, Base, FinetuneOptions, Task};
use trainer::metrics::ImageAnswer;
use utoipa::ToSchema;

use super::FinetuneFailure;
use crate::config::DataDir;
use crate::datasets::{DatasetFindings, JobDataset};
use crate::run_context::RunContext;
use crate::runtime::{Backends, SelectedEngine};
use crate::store::{ModelName, ModelStore};

/// A data set that is to be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Where the images are.
    pub dataset: JobDataset,
    /// The model whose features tell which labels may be wrong; without one no label is checked.
    pub base_model: Option<ModelName>,
}

/// What may be wrong with a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetCheck {
    /// How it is understood, and what is wrong with its files.
    #[serde(flatten)]
    pub findings: DatasetFindings,
    /// Images whose label may be wrong, the most doubtful first; missing where nobody asked or there are too few images to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub suspects: Option<Vec<ImageAnswer>>,
}

/// Checks a data set.
///
/// # Errors
/// [`FinetuneFailure`] if the data set or the model cannot be read.
pub fn check_dataset(
    context: &RunContext,
    spec: &CheckSpec,
    backends: &Backends,
    observer: &mut dyn Observer,
) -> Result<DatasetCheck, FinetuneFailure> {
    let images = spec.dataset.locate(&context.data, &context.access)?;
    let folders = context.data.training_folders();
    let options = OpenOptions { access: &images.access, archives: Some(&folders.archives), ..OpenOptions::default() };
    let dataset = images.source.list_in(&options)?;
    let finetune = FinetuneOptions::default();
    let inspection = dataset.inspect(BadFilePolicy::Skip, &finetune.limits())?;
    let findings = DatasetFindings::new(&images.source, &dataset, &inspection, &finetune);
    let suspects = match &spec.base_model {
        None => None,
        Some(base) => {
            let check = LabelCheck {
                data: &context.data,
                base,
                source: &images.source,
                access: &images.access,
                dataset: &dataset,
                options: finetune,
            };
            check.suspects(&backends.engine, observer)?
        }
    };
    Ok(DatasetCheck { findings, suspects })
}

/// Whose labels are to be checked, and by which features.
pub struct LabelCheck<'a> {
    /// The folder with the models and the features that are kept.
    pub data: &'a DataDir,
    /// The model that the features are of.
    pub base: &'a ModelName,
    /// Where the images are.
    pub source: &'a DatasetSource,
    /// Which files may be read.
    pub access: &'a FileAccess,
    /// What was found there.
    pub dataset: &'a Dataset,
    /// The limits of images.
    pub options: FinetuneOptions,
}

impl LabelCheck<'_> {
    /// The images whose labels may be wrong; `None` where there are too few to tell.
    ///
    /// # Errors
    /// [`FinetuneFailure`] if the model cannot be read or run.
    pub fn suspects(
        &self,
        engine: &SelectedEngine,
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<ImageAnswer>>, FinetuneFailure> {
        // What cannot be trained on has no answer to compare with.
        if self.dataset.check(BadFilePolicy::Skip).is_err() {
            return Ok(None);
        }
        let store = ModelStore::open(&self.data.models_dir())?;
        let content = store.content(self.base, store.resolve(self.base, None)?)?;
        let base = Base::new(content, engine.kind, engine.threads)?.with_decoding(self.options.decoding)?;
        let task = Task {
            base_name: self.base.as_str(),
            base: &base,
            source: self.source,
            access: self.access,
            options: FinetuneOptions { bad_files: BadFilePolicy::Skip, ..self.options.clone() },
            folders: &self.data.training_folders(),
            engine: engine.spec(),
            backend: &ComputeBackend::Rust,
        };
        Ok(training::suspects(&task, observer)?)
    }
}
