//! What all adapters do: find the model, read the images, run them, rank the classes.

use axum::body::Bytes;
use models::doubt::Doubt;
use models::scores::top_k;
use trainer::evaluate::TestViews;

use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
pub(super) use crate::http::v1::call::CallContext;
use crate::http::v1::call::ModelCall;
use crate::http::v1::refusal::every_image;

/// A model that an adapter calls.
pub(super) struct AdapterCall(ModelCall);

/// What the model says of an image.
pub(super) struct ScoredImage {
    /// In the order of the classes.
    pub(super) scores: Vec<f32>,
    /// Why the best class is not to be trusted, if it is not.
    pub(super) uncertain: Option<Doubt>,
}

/// A class of an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RankedClass {
    pub(super) index: usize,
    pub(super) label: String,
    pub(super) score: f32,
}

impl AdapterCall {
    /// The model of this name, or the default one, if it has room.
    ///
    /// # Errors
    /// There is none, or it does not answer, or its queue is too long.
    pub(super) async fn admit(state: &AppState, model: Option<&str>, context: CallContext) -> Result<Self, ApiError> {
        Ok(Self(ModelCall::admit(state, model, context).await?))
    }

    /// The same, for an address that names a version, which must be the one that answers.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit), and [`Code::VersionNotServed`].
    pub(super) fn of_version(self, version: Option<&str>) -> Result<Self, ApiError> {
        let (Some(version), serving) = (version, self.version()) else { return Ok(self) };
        if version.parse() == Ok(serving) {
            return Ok(self);
        }
        let detail = format!("version `{version}` of `{}` does not answer, version {serving} does", self.name());
        Err(ApiError::new(Code::VersionNotServed, detail))
    }

    pub(super) fn name(&self) -> &str {
        self.0.model().name().as_str()
    }

    pub(super) fn version(&self) -> u32 {
        self.0.model().version()
    }

    /// The names of the classes, in the order of the scores.
    pub(super) fn labels(&self) -> Vec<String> {
        self.0.model().labels().names().to_vec()
    }

    /// The id that the log and `POST /feedback` know the request by.
    pub(super) fn request_id(&self) -> &str {
        self.0.request_id()
    }

    /// The logits of each image.
    ///
    /// # Errors
    /// The first image that cannot be used, or what the queue refuses.
    pub(super) async fn logits(&self, state: &AppState, images: Vec<Bytes>) -> Result<Vec<Vec<f32>>, ApiError> {
        if images.len() > state.limits.images {
            let detail = format!("the request has {} images; it may have {}", images.len(), state.limits.images);
            return Err(ApiError::new(Code::TooManyImages, detail));
        }
        every_image(self.0.run(state, images, TestViews::None).await?.logits)
    }

    /// The scores of each image.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub(super) async fn scores(&self, state: &AppState, images: Vec<Bytes>) -> Result<Vec<Vec<f32>>, ApiError> {
        Ok(self.scored(state, images).await?.into_iter().map(|image| image.scores).collect())
    }

    /// The scores of each image, and whether they are to be trusted.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub(super) async fn scored(&self, state: &AppState, images: Vec<Bytes>) -> Result<Vec<ScoredImage>, ApiError> {
        let spec = self.0.model().scores();
        let scored =
            |logits: &Vec<f32>| ScoredImage { scores: spec.kind.scores(logits), uncertain: spec.doubt(logits) };
        Ok(self.logits(state, images).await?.iter().map(scored).collect())
    }

    /// The scores of one image, and whether they are to be trusted.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub(super) async fn scored_image(&self, state: &AppState, image: Bytes) -> Result<ScoredImage, ApiError> {
        let missing = || ApiError::internal("the model has answered no image");
        self.scored(state, vec![image]).await?.pop().ok_or_else(missing)
    }

    /// The best classes by these scores, best first.
    pub(super) fn ranked(&self, scores: &[f32], most: usize) -> Vec<RankedClass> {
        let labels = self.0.model().labels();
        let class = |index: usize| RankedClass {
            index,
            label: labels.get(index).map_or_else(|| index.to_string(), str::to_owned),
            score: scores[index],
        };
        top_k(scores, most).into_iter().map(class).collect()
    }
}
