//! The one list of addresses; routes and their documentation are made from it together.

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::http::bounds;
use crate::http::middleware::respond;
use crate::http::problem::{ApiError, Code, Problem};
use crate::http::state::AppState;
use crate::http::v1::{classify, finetune, health, models};

/// The description of the interface as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "graft",
        description = "Takes a pretrained image network, grafts a new head onto it, and serves the result.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "this server")),
    tags(
        (name = "classify", description = "Images in, classes out."),
        (name = "finetune", description = "New classes from folders of images. A fine-tune is a job: start it, follow it, use its model."),
        (name = "models", description = "What there is to classify with and to fine-tune."),
        (name = "health", description = "For whoever runs the server."),
    ),
    components(schemas(Problem)),
    security(()),
)]
struct Api;

/// The program's HTTP interface, and its description.
pub fn router(state: AppState) -> (Router, utoipa::openapi::OpenApi) {
    let limit = state.max_body_bytes;
    let (routes, mut openapi) = routes().split_for_parts();
    bounds::describe(&mut openapi);
    let router = routes
        .route("/", get(async || Redirect::temporary("/docs/")))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi.clone()))
        .fallback(async || ApiError::from(Code::RouteNotFound))
        .method_not_allowed_fallback(async || ApiError::from(Code::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(respond::panicked))
        .layer(DefaultBodyLimit::max(limit))
        .layer(middleware::from_fn(respond::respond))
        .with_state(state);
    (router, openapi)
}

/// The description of the interface, for `graft openapi`.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut openapi = routes().into_openapi();
    bounds::describe(&mut openapi);
    openapi
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(classify::classify_images))
        .routes(routes!(classify::classify_bytes))
        .routes(routes!(finetune::create_finetune, finetune::list_finetunes))
        .routes(routes!(finetune::get_finetune))
        .routes(routes!(finetune::cancel_finetune))
        .routes(routes!(finetune::events::list_finetune_events))
        .routes(routes!(models::list_models))
        .routes(routes!(models::get_model))
        .routes(routes!(health::get_liveness))
        .routes(routes!(health::get_readiness))
}

#[cfg(test)]
mod tests;
