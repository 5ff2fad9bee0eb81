//! What can be refused before the body of a classification is read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::Request;
use models::preprocess::PreparedImage;
use trainer::evaluate::TestViews;
use trainer::quantize::VariantKind;

use crate::http::middleware::body::Intake;
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::ApiError;
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::inference::{ImageRequest, InferenceError, InferenceResult, Model};
use crate::metrics::Stage;

/// What a request brings along beside its body.
pub(crate) struct CallContext {
    deadline: Option<Deadline>,
    record: Option<RequestRecord>,
    intake: Option<Arc<Intake>>,
}

impl CallContext {
    pub(crate) fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        Self {
            deadline: extensions.get::<Deadline>().copied(),
            record: extensions.get::<RequestRecord>().cloned(),
            intake: extensions.get::<Arc<Intake>>().cloned(),
        }
    }
}

/// A call of a model that is there and has room.
pub(crate) struct ModelCall {
    model: Arc<Model>,
    /// The variant of the version that answers, where it has several.
    variant: Option<VariantKind>,
    deadline: Instant,
    record: Option<RequestRecord>,
    intake: Option<Arc<Intake>>,
}

impl ModelCall {
    /// Finds the model of this name, or the only one, waits until it is loaded, and asks whether it has room.
    ///
    /// # Errors
    /// No such model, or it does not answer, or its queue is too long.
    pub(crate) async fn admit(state: &AppState, name: Option<&str>, context: CallContext) -> Result<Self, ApiError> {
        let CallContext { deadline, record, intake } = context;
        let latest = Instant::now() + state.limits.request_timeout;
        let deadline = deadline.map_or(latest, |deadline| deadline.0);
        let model = state.registry.classifier(name, deadline).await?;
        if let Some(record) = &record {
            record.set_model(model.name().as_str());
        }
        model.check_admission(deadline)?;
        let variant = (!model.plan().variants.is_empty()).then_some(model.plan().variant);
        Ok(Self { model, variant, deadline, record, intake })
    }

    /// The same call of another variant of the version, if one is named.
    ///
    /// # Errors
    /// No such variant, or it does not answer, or its queue is too long.
    pub(super) async fn in_variant(self, state: &AppState, asked: Option<VariantKind>) -> Result<Self, ApiError> {
        let Some(variant) = asked else { return Ok(self) };
        let model = state.registry.in_variant(&self.model, variant).await?;
        model.check_admission(self.deadline)?;
        Ok(Self { model, variant: Some(variant), ..self })
    }

    /// The variant of the version that answers, where it has several.
    pub(super) fn variant(&self) -> Option<VariantKind> {
        self.variant
    }

    /// The id of the request; empty outside the router.
    pub(crate) fn request_id(&self) -> &str {
        self.record.as_ref().map_or("", RequestRecord::id)
    }

    /// The model that answers, at one version for the whole call.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// The same call, to be answered within this time from now if that is sooner.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        let deadline = Instant::now().checked_add(timeout).map_or(self.deadline, |latest| latest.min(self.deadline));
        Self { deadline, ..self }
    }

    /// What the body has become in memory counts like the body.
    ///
    /// # Errors
    /// The body is larger than it may be, or the server holds as many bytes as it may.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), ApiError> {
        self.intake.as_ref().map_or(Ok(()), |intake| intake.take_in(bytes).map_err(ApiError::from))
    }

    /// The logits of image files, the stages put on record.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub(crate) async fn run(
        &self,
        state: &AppState,
        images: Vec<Bytes>,
        views: TestViews,
    ) -> Result<InferenceResult, InferenceError> {
        let read = self.read_time();
        let sample = state.registry.shadow_sample(&self.model, &images, &state.decoder);
        let request = ImageRequest { images, views, deadline: self.deadline };
        let result = self.model.run(&state.decoder, request).await?;
        if let Some(sample) = sample {
            sample.answered(&self.model, &result, self.request_id());
        }
        Ok(self.recorded(read, result))
    }

    /// The logits of images that are prepared already, the stages put on record.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub(crate) async fn run_prepared(&self, inputs: Vec<PreparedImage>) -> Result<InferenceResult, InferenceError> {
        let read = self.read_time();
        Ok(self.recorded(read, self.model.run_prepared(inputs, self.deadline).await?))
    }

    /// How long the body took to arrive, which is counted.
    fn read_time(&self) -> Duration {
        let read = self.intake.as_ref().map(|intake| intake.read_time()).unwrap_or_default();
        self.model.metrics().stage(Stage::Read, read);
        read
    }

    fn recorded(&self, read: Duration, result: InferenceResult) -> InferenceResult {
        if let Some(record) = &self.record {
            record.add_stage(Stage::Read, read);
            record.add_stage(Stage::Decode, result.prepare);
            record.add_stage(Stage::Queue, result.queue);
            record.add_stage(Stage::Inference, result.inference);
        }
        result
    }
}
