//! What can be refused before the body of a classification is read.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;
use trainer::evaluate::TestViews;

use crate::http::middleware::body::Intake;
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::ApiError;
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::inference::{ImageRequest, InferenceError, InferenceResult, Model};
use crate::metrics::Stage;

/// What a request brings along beside its body.
pub(super) struct CallContext {
    deadline: Option<Deadline>,
    record: Option<RequestRecord>,
    intake: Option<Arc<Intake>>,
}

impl CallContext {
    pub(super) fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        Self {
            deadline: extensions.get::<Deadline>().copied(),
            record: extensions.get::<RequestRecord>().cloned(),
            intake: extensions.get::<Arc<Intake>>().cloned(),
        }
    }
}

/// A call of a model that is there and has room.
pub(super) struct ModelCall {
    model: Arc<Model>,
    deadline: Instant,
    record: Option<RequestRecord>,
    intake: Option<Arc<Intake>>,
}

impl ModelCall {
    /// Finds the model of this name, or the only one, waits until it is loaded, and asks whether it has room.
    ///
    /// # Errors
    /// No such model, or it does not answer, or its queue is too long.
    pub(super) async fn admit(state: &AppState, name: Option<&str>, context: CallContext) -> Result<Self, ApiError> {
        let CallContext { deadline, record, intake } = context;
        let latest = Instant::now() + state.limits.request_timeout;
        let deadline = deadline.map_or(latest, |deadline| deadline.0);
        let model = state.registry.classifier(name, deadline).await?;
        if let Some(record) = &record {
            record.set_model(model.name().as_str());
        }
        model.check_admission(deadline)?;
        Ok(Self { model, deadline, record, intake })
    }

    /// The id of the request; empty outside the router.
    pub(super) fn request_id(&self) -> &str {
        self.record.as_ref().map_or("", RequestRecord::id)
    }

    /// The model.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// The logits of image files, the stages put on record.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub(super) async fn run(
        &self,
        state: &AppState,
        images: Vec<Bytes>,
        views: TestViews,
    ) -> Result<InferenceResult, InferenceError> {
        let read = self.intake.as_ref().map(|intake| intake.read_time()).unwrap_or_default();
        self.model.metrics().stage(Stage::Read, read);
        let request = ImageRequest { images, views, deadline: self.deadline };
        let result = self.model.run(&state.decoder, request).await?;
        if let Some(record) = &self.record {
            record.add_stage(Stage::Read, read);
            record.add_stage(Stage::Decode, result.prepare);
            record.add_stage(Stage::Queue, result.queue);
            record.add_stage(Stage::Inference, result.inference);
        }
        Ok(result)
    }
}
