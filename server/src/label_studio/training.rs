//! Fine-tunes on the annotations of a project.

use bytes::Bytes;
use models::preprocess::Limits;
use serde_json::Value;
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};
use trainer::finetune::FinetuneOptions;

use super::client::{ImageClient, ImageSourceError};
use super::labeling::{Labeling, LabelingError};
use super::{TrainingState, Trainings};
use crate::datasets::stored::{Addition, DatasetStoreError, ImageEdit, ImageUpload, Label, file_name};
use crate::datasets::{DatasetName, DatasetStore, JobDataset, StoredKind, StoredSource};
use crate::failure::chain;
use crate::finetune::{DeployOptions, FinetuneFailure, FinetuneSpec, JobChecker};
use crate::jobs::{JobRequest, JobSpec, Jobs, JobsError, Submission};
use crate::store::ModelName;

/// Trains a model on the annotations of projects.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// The stored data sets, one of which gets the images.
    pub datasets: DatasetStore,
    /// Gets the fine-tune.
    pub jobs: Jobs,
    /// Checks it.
    pub checker: JobChecker,
    /// Fetches images and annotations.
    pub client: ImageClient,
    /// The base of new models.
    pub base: ModelName,
    /// The largest image.
    pub limits: Limits,
    /// The name of the API key that asks for it.
    pub owner: Option<String>,
    /// What becomes of it.
    pub trainings: Trainings,
}

/// Why there is no fine-tune.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// The project does not classify images.
    #[error(transparent)]
    Labeling(#[from] LabelingError),
    /// The annotations cannot be fetched.
    #[error("the annotations cannot be fetched from Label Studio")]
    Fetch(#[from] ImageSourceError),
    /// There are none.
    #[error("no task of the project has an annotation with a label; annotate some and submit them")]
    Empty,
    /// The data set.
    #[error(transparent)]
    Datasets(#[from] DatasetStoreError),
    /// The fine-tune is refused.
    #[error(transparent)]
    Refused(#[from] FinetuneFailure),
    /// The job is refused.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// The work was interrupted.
    #[error("the work was interrupted")]
    Interrupted(#[from] JoinError),
}

impl Trainer {
    /// Begins to train a model, in the background: it is announced as [`Trainings`] have it. A second request while the first is
    /// being prepared is the same.
    pub fn start(self, model: ModelName, project: i64, config: String) {
        if !self.trainings.begin(&model) {
            return;
        }
        tokio::spawn(async move {
            let outcome = self.train(&model, project, &config).await;
            match &outcome {
                Ok(job) => tracing::info!(%model, project, job, "Label Studio has asked for a fine-tune"),
                Err(error) => {
                    tracing::error!(%model, project, cause = chain(error), "Label Studio gets no fine-tune");
                }
            }
            self.trainings.update(&model, |training| match outcome {
                Ok(job) => (training.state, training.job) = (TrainingState::Submitted, Some(job)),
                Err(error) => (training.state, training.error) = (TrainingState::Failed, Some(chain(&error))),
            });
        });
    }

    async fn train(&self, model: &ModelName, project: i64, config: &str) -> Result<String, TrainingError> {
        let labeling = Labeling::parse(config)?;
        let client = self.client.clone();
        let tasks = spawn_blocking(move || client.annotated(project)).await??;
        let name: DatasetName = format!("label-studio-{project}").parse().map_err(|_| TrainingError::Empty)?;
        match self.datasets.create(&name).await {
            Ok(_) | Err(DatasetStoreError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut images = 0;
        for task in tasks {
            let added = self.add(&name, task, &labeling).await?;
            images += usize::from(added);
            self.trainings.update(model, |training| match added {
                true => training.images += 1,
                false => training.left_out += 1,
            });
        }
        if images == 0 {
            return Err(TrainingError::Empty);
        }
        let dataset = JobDataset::Stored(StoredSource { kind: StoredKind::Stored, name, snapshot: None });
        let spec = FinetuneSpec {
            base_model: self.base.clone(),
            dataset: self.datasets.pin(dataset).await?,
            name: model.clone(),
            options: FinetuneOptions::default(),
            // Label Studio asks the model for predictions, and trains it so that they get better.
            deploy: DeployOptions::on_success(),
            webhook: None,
        };
        self.checker.check(spec.clone()).await?;
        let spec = JobSpec::Finetune(spec);
        let request = JobRequest { spec: &spec, idempotency_key: None, owner: self.owner.as_deref() };
        let (Submission::New(job) | Submission::Existing(job)) = self.jobs.create(&request).await?;
        Ok(job.id.to_string())
    }

    /// Adds the image of a task under its label; one that is there already gets it. Whether it has one and can be used.
    async fn add(&self, name: &DatasetName, task: Value, labeling: &Labeling) -> Result<bool, TrainingError> {
        let Some(label) = label(&task, &labeling.from_name).and_then(|text| text.parse::<Label>().ok()) else {
            return Ok(false);
        };
        let (client, field) = (self.client.clone(), labeling.field.clone());
        let fetched = spawn_blocking(move || {
            let image = client.image(&task["data"], &field);
            (image, task["data"][&field].as_str().map(str::to_owned))
        });
        let (image, text) = fetched.await?;
        let bytes = match image {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                tracing::warn!(cause = chain(&error), "an image of Label Studio is left out");
                return Ok(false);
            }
        };
        let called = text.filter(|text| !text.starts_with("data:")).and_then(|text| file_name(&text));
        let upload = ImageUpload { label: label.clone(), file_name: called, subset: None, bytes };
        match self.datasets.add(name, vec![upload], self.limits).await?.pop() {
            Some(Ok(Addition::LabeledOtherwise { sha256, .. })) => {
                let edit = ImageEdit { label: Some(&label), subset: None };
                self.datasets.edit(name, &[sha256], &edit).await?;
                Ok(true)
            }
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => {
                tracing::warn!(%error, "an image of Label Studio is left out");
                Ok(false)
            }
            None => Ok(false),
        }
    }
}

/// The label that the newest annotation of a task has, if it was submitted and not skipped.
fn label<'a>(task: &'a Value, from_name: &str) -> Option<&'a str> {
    let annotations = task["annotations"].as_array()?.iter().rev();
    let mut submitted = annotations.filter(|annotation| annotation["was_cancelled"] != Value::Bool(true));
    submitted.find_map(|annotation| {
        let results = annotation["result"].as_array()?;
        let choice = results.iter().find(|result| result["from_name"] == from_name)?;
        choice["value"]["choices"][0].as_str()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_submitted_annotation_is_the_label() {
        let choice = |label: &str| json!({"from_name": "choice", "type": "choices", "value": {"choices": [label]}});
        let annotation = |label: &str, skipped: bool| json!({"was_cancelled": skipped, "result": [choice(label)]});
        let task = |annotations: Value| json!({"data": {}, "annotations": annotations});
        let first = task(json!([annotation("rose", false), annotation("tulip", false), annotation("weed", true)]));
        assert_eq!(label(&first, "choice"), Some("tulip"));
        assert_eq!(label(&first, "other"), None);
        assert_eq!(label(&task(json!([{"was_cancelled": false, "result": []}])), "choice"), None);
        assert_eq!(label(&task(json!([])), "choice"), None);
    }
}
