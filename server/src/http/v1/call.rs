//! What can be refused before the body of a classification is read.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;

use crate::http::middleware::body::Intake;
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::ApiError;
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::inference::{InferenceError, InferenceResult, Model};
use crate::metrics::Stage;

/// A call of a model that is there and has room.
pub(super) struct ModelCall {
    model: Arc<Model>,
    deadline: Instant,
    record: Option<RequestRecord>,
    intake: Option<Arc<Intake>>,
}

impl ModelCall {
    /// Finds the model of this name, or the only one, and asks whether it has room.
    ///
    /// # Errors
    /// No such model, or it does not answer, or its queue is too long.
    pub(super) fn admit(state: &AppState, name: Option<&str>, request: &Request) -> Result<Self, ApiError> {
        let extensions = request.extensions();
        let record = extensions.get::<RequestRecord>().cloned();
        let model = state.registry.classifier(name)?;
        if let Some(record) = &record {
            record.set_model(model.name().as_str());
        }
        let latest = Instant::now() + state.limits.request_timeout;
        let deadline = extensions.get::<Deadline>().map_or(latest, |deadline| deadline.0);
        model.check_admission(deadline)?;
        Ok(Self { model, deadline, record, intake: extensions.get::<Arc<Intake>>().cloned() })
    }

    /// The model.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// The logits of image files, the stages put on record.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub(super) async fn run(&self, state: &AppState, images: Vec<Bytes>) -> Result<InferenceResult, InferenceError> {
        let read = self.intake.as_ref().map(|intake| intake.read_time()).unwrap_or_default();
        self.model.metrics().stage(Stage::Read, read);
        let result = self.model.run(&state.decoder, images, self.deadline).await?;
        if let Some(record) = &self.record {
            record.add_stage(Stage::Read, read);
            record.add_stage(Stage::Decode, result.prepare);
            record.add_stage(Stage::Queue, result.queue);
            record.add_stage(Stage::Inference, result.inference);
        }
        Ok(result)
    }
}
