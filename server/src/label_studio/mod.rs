//! Label Studio: models as its ML backends, and fine-tunes on what was annotated in it.

mod client;
mod labeling;
mod training;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use crate::outbound::{AllowedHost, HttpUrl};
use crate::store::ModelName;
pub use client::{ImageClient, ImageSourceError};
pub use labeling::{Labeling, LabelingError};
pub use training::{Trainer, TrainingError};

/// The Label Studio that the server works with.
#[derive(Debug, Clone)]
pub struct LabelStudioOptions {
    /// Where it is reached.
    pub url: HttpUrl,
    /// What it lets the server in with.
    pub token: Option<String>,
    /// The base of new models.
    pub base: ModelName,
    /// Other hosts that images are fetched from.
    pub image_hosts: Vec<AllowedHost>,
}

/// What became of the last training of each model; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trainings(Arc<Mutex<HashMap<ModelName, Training>>>);

/// What became of a training that Label Studio has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LabelStudioTraining)]
pub struct Training {
    /// How far it is.
    pub state: TrainingState,
    /// Annotated images that were read so far.
    #[schema(example = 120)]
    pub images: usize,
    /// Tasks without a label or with an image that cannot be used.
    #[schema(example = 2)]
    pub left_out: usize,
    /// The fine-tune, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub job: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LabelStudioTrainingState)]
pub enum TrainingState {
    /// Annotated images are fetched.
    Importing,
    /// A fine-tune was queued; `GET /finetune/{id}` follows it.
    Submitted,
    /// There is no fine-tune.
    Failed,
}

impl Trainings {
    /// The last training of a model.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> Option<Training> {
        self.lock().get(model).cloned()
    }

    /// Begins one, unless one is being prepared.
    fn begin(&self, model: &ModelName) -> bool {
        let mut trainings = self.lock();
        if trainings.get(model).is_some_and(|training| training.state == TrainingState::Importing) {
            return false;
        }
        let training = Training { state: TrainingState::Importing, images: 0, left_out: 0, job: None, error: None };
        trainings.insert(model.clone(), training);
        true
    }

    fn update(&self, model: &ModelName, change: impl FnOnce(&mut Training)) {
        if let Some(training) = self.lock().get_mut(model) {
            change(training);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ModelName, Training>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
