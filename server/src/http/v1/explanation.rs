//! Where a model sees what it answers.

use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::classify::ImageResult;
use super::refusal;
use crate::explain::{ExplainFailure, Explanation, Question};
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::inference::Model;

/// An explanation takes about as long as training on an image does.
const BUSY_RETRY: Duration = Duration::from_secs(2);

/// How an answer is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExplainMethod {
    /// The class activation map of the best class.
    Cam,
}

/// Where the model sees the best class, over the image as the network takes it: resized and cropped.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageExplanation {
    /// How it was made.
    pub method: ExplainMethod,
    /// The number of the class that is explained.
    #[schema(example = 7)]
    pub class: usize,
    /// By row, what each place of the network's last feature map adds to the logit of the class: positive where the image speaks for
    /// it. Where the network ends in averaging and a linear layer, the places add up to the logit without its bias.
    #[schema(example = json!([[0.1, 2.5], [-0.3, 0.8]]))]
    pub values: Vec<Vec<f32>>,
    /// The image with the map over it, as a PNG file in base64: hot where it speaks for the class.
    #[schema(format = Byte, example = "iVBORw0KGgo=")]
    pub overlay_png: String,
}

impl From<Explanation> for ImageExplanation {
    fn from(Explanation { class, map, overlay }: Explanation) -> Self {
        let values = map.values.chunks(map.size[1].max(1)).map(<[f32]>::to_vec).collect();
        Self { method: ExplainMethod::Cam, class, values, overlay_png: BASE64_STANDARD.encode(overlay) }
    }
}

/// Explains the best class of each image that has one.
pub(super) async fn explain(
    state: &AppState,
    model: &Model,
    images: Vec<Bytes>,
    results: &mut [ImageResult],
) -> Result<(), ApiError> {
    let best = |result: &ImageResult| Some(result.predictions.as_ref()?.first()?.class);
    let answered = results.iter_mut().zip(images);
    let (answered, questions): (Vec<_>, Vec<_>) =
        answered.filter_map(|(result, image)| best(result).map(|class| (result, Question { image, class }))).unzip();
    let explained = state.explanations.explain(model.name(), model.version(), questions).await?;
    for (result, explanation) in answered.into_iter().zip(explained) {
        result.explanation = Some(explanation.into());
    }
    Ok(())
}

impl From<ExplainFailure> for ApiError {
    fn from(failure: ExplainFailure) -> Self {
        let detail = failure.to_string();
        match failure {
            ExplainFailure::Busy => ApiError::new(Code::Overloaded, detail).retry_after(BUSY_RETRY),
            ExplainFailure::Opaque(_) => ApiError::new(Code::NotExplainable, detail),
            ExplainFailure::Network(trainer::explain::ExplainError::NoFeatureMap) => {
                ApiError::new(Code::NotExplainable, detail)
            }
            ExplainFailure::Image(error) => refusal::image(&error),
            ExplainFailure::Network(_) | ExplainFailure::Store(_) | ExplainFailure::Interrupted(_) => {
                ApiError::internal(failure)
            }
        }
    }
}
