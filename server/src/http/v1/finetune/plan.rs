//! What a fine-tune would do.

use std::time::Duration;

use axum::Json;
use axum::extract::State;

use crate::failure::is_transient;
use crate::finetune::{FinetunePlan, FinetuneSpec};
use crate::http::extract;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::v1::jobs::bound_images;
use crate::jobs::PlanError;

/// When the plan that is being made may be done.
const BUSY_RETRY: Duration = Duration::from_secs(10);

documents! {
    /// The errors of `POST /finetune/plan`.
    PlanErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, BodyTooLarge, UnsupportedMediaType, InvalidBody, FinetuneRefused,
        DatasetNotFound, SnapshotNotFound, PlannerBusy, DatasetsUnavailable, StorageFull, BodyTimeout, ServerBusy
}

/// Plan a fine-tune
///
/// Takes the same body as `POST /finetune` and trains nothing: what is wrong with the images, every option in force with a reason,
/// and how long it would take and how much memory. Every image is read and the base is timed on some of them, so that a large data
/// set needs a longer `X-Request-Timeout-Ms`; `graft finetune --plan` has no limit of time.
#[utoipa::path(
    post, path = "/finetune/plan", operation_id = "plan_finetune", tag = "finetune",
    request_body = FinetuneSpec,
    responses((status = 200, description = "The plan.", body = FinetunePlan), PlanErrors)
)]
pub async fn plan_finetune(
    State(state): State<AppState>,
    extract::Json(mut request): extract::Json<FinetuneSpec>,
) -> Result<Json<FinetunePlan>, ApiError> {
    bound_images(&mut request.options.max_megapixels, &state.limits.image)?;
    let dataset = state.datasets.pin(request.dataset).await?;
    let request = FinetuneSpec { dataset, ..request };
    state.checker.check(request.clone()).await?;
    Ok(Json(state.planner.plan(&request).await?))
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Busy => ApiError::from(Code::PlannerBusy).retry_after(BUSY_RETRY),
            PlanError::Refused(error) if !is_transient(&error.code) => {
                ApiError::new(Code::FinetuneRefused, error.message)
            }
            error => ApiError::internal(error),
        }
    }
}
