//! Where a model sees what it answers.

use std::time::Duration;

use axum::body::Bytes;

use super::refusal;
use super::result::ImageResult;
use crate::explain::{ExplainFailure, Question};
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::inference::Model;

/// An explanation takes about as long as training on an image does.
const BUSY_RETRY: Duration = Duration::from_secs(2);

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
