//! The one list of addresses; routes and their documentation are made from it together.

use std::future::ready;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::adapters::{custom_vision, hugging_face, sagemaker, tf_serving, torch_serve, vertex};
use crate::http::bounds;
use crate::http::middleware::{body, deadline, guard, respond, security};
use crate::http::problem::{
    ApiError, Code, CustomVisionError, ErrorText, GoogleError, GoogleErrorStatus, Problem, TorchServeError,
};
use crate::http::state::AppState;
use crate::http::ui;
use crate::http::v1::{
    classify, datasets, evaluate, feedback, finetune, health, jobs, label_studio, metrics, models, quantize, report,
    trial,
};
use crate::http::v2;

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
        (name = "evaluate", description = "How good a model is on labeled images. An evaluation is a job."),
        (name = "quantize", description = "A model in 8-bit integers: faster, and measured. A quantization is a job."),
        (name = "datasets", description = "Images with labels that stay on the server, and snapshots of them."),
        (name = "label-studio", description = "Models as ML backends of Label Studio."),
        (name = "inference-protocol", description = "The Open Inference Protocol v2, as KServe and Triton speak it."),
        (name = "clients", description = "Addresses of other services, for their clients."),
        (name = "models", description = "What there is to classify with and to fine-tune."),
        (name = "health", description = "For whoever runs the server: probes and metrics."),
    ),
    components(schemas(Problem, ErrorText, CustomVisionError, GoogleError, GoogleErrorStatus, TorchServeError)),
    // One route answers all verbs of an address.
    paths(
        tf_serving::tf_serving_predict,
        tf_serving::tf_serving_predict_version,
        tf_serving::tf_serving_classify,
        tf_serving::tf_serving_classify_version,
        vertex::vertex_predict,
        vertex::vertex_predict_deployed,
    ),
    modifiers(&Keys),
    // A server without keys asks for none.
    security((), ("bearer" = []), ("api_key" = [])),
)]
struct Api;

/// The two ways to send an API key.
struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("api_key", header);
    }
}

/// The program's HTTP interface.
pub fn router(state: AppState) -> Router {
    let (routes, mut openapi) = routes().split_for_parts();
    bounds::describe(&mut openapi);
    let router = routes.merge(ui::routes()).merge(description(&openapi));
    let router = guarded(router, &state);
    // Outside the guard: browsers send no key when they ask for leave.
    let router = match security::cors(state.access.origins()) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(middleware::from_fn(security::headers))
        .layer(middleware::from_fn_with_state(state.clone(), respond::respond))
        .with_state(state)
}

/// The description as a file and as a page. It is kept as text, since the tree of it takes 9 MB, and without the room that a
/// growing text has at its end.
fn description(openapi: &utoipa::openapi::OpenApi) -> Router<AppState> {
    let text = serde_json::to_vec(openapi).map(|text| Bytes::from(text.into_boxed_slice())).map_err(ApiError::internal);
    let answer = move || ready(text.clone().map(|text| ([(CONTENT_TYPE, "application/json")], text)));
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    Router::new().route("/openapi.json", get(answer)).merge(page)
}

/// What every request goes through before it comes to a route, whatever protocol it is of.
pub(crate) fn guarded(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    routes
        .fallback(async || ApiError::from(Code::RouteNotFound))
        .method_not_allowed_fallback(async || ApiError::from(Code::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(respond::panicked))
        // `body::bound` knows the limits.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), deadline::bound))
        .layer(middleware::from_fn_with_state(state.clone(), body::bound))
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
}

/// What answers clients that speak HTTP to a server of HTTPS.
pub fn https_only(state: AppState) -> Router {
    Router::new()
        .fallback(async || ApiError::from(Code::HttpsRequired))
        .layer(middleware::from_fn(security::headers))
        .layer(middleware::from_fn_with_state(state, respond::respond))
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
        .routes(routes!(trial::classify_with_version))
        .routes(routes!(feedback::give_feedback))
        .routes(routes!(feedback::list_inbox))
        .routes(routes!(feedback::get_inbox_image, feedback::delete_inbox_image))
        .routes(routes!(finetune::schema::get_finetune_schema))
        .routes(routes!(finetune::plan::plan_finetune))
        .routes(routes!(finetune::control::pause_finetune))
        .routes(routes!(finetune::control::resume_finetune))
        .routes(routes!(finetune::control::retry_finetune))
        .merge(jobs::routes_with_creation::<finetune::job::Job>())
        .merge(jobs::routes_with_creation::<evaluate::EvaluationJob>())
        .merge(jobs::routes_with_creation::<quantize::QuantizationJob>())
        .merge(jobs::routes::<models::import::ImportJob>())
        .routes(routes!(datasets::create_dataset, datasets::list_datasets))
        .routes(routes!(datasets::get_dataset, datasets::delete_dataset))
        .routes(routes!(datasets::images::add_images, datasets::images::list_images))
        .routes(routes!(datasets::images::get_image, datasets::images::change_image, datasets::images::delete_image))
        .routes(routes!(datasets::images::get_thumbnail))
        .routes(routes!(datasets::changes::move_images))
        .routes(routes!(datasets::changes::remove_images))
        .routes(routes!(datasets::findings::get_findings))
        .routes(routes!(datasets::snapshots::create_snapshot))
        .routes(routes!(datasets::snapshots::get_snapshot))
        .routes(routes!(datasets::archive::get_archive))
        .routes(routes!(
            datasets::uploads::describe_uploads,
            datasets::uploads::create_upload,
            datasets::uploads::list_uploads
        ))
        .routes(routes!(
            datasets::uploads::get_upload,
            datasets::uploads::get_upload_offset,
            datasets::uploads::append_upload,
            datasets::uploads::delete_upload
        ))
        .routes(routes!(datasets::uploads::import_upload))
        .routes(routes!(label_studio::get_label_studio_health))
        .routes(routes!(label_studio::set_up_label_studio))
        .routes(routes!(label_studio::predict_label_studio))
        .routes(routes!(label_studio::take_label_studio_event))
        .merge(inference_protocol())
        .merge(clients())
        .routes(routes!(models::list_models, models::upload::upload_model))
        .routes(routes!(models::get_model, models::change::change_model))
        .routes(routes!(models::versions::list_versions))
        .routes(routes!(
            models::versions::get_version,
            models::change::change_version,
            models::versions::delete_version
        ))
        .routes(routes!(models::versions::get_onnx))
        .routes(routes!(models::live::set_live))
        .routes(routes!(models::live::load_model))
        .routes(routes!(models::live::unload_model))
        .routes(routes!(models::shadow::get_shadow, models::shadow::set_shadow, models::shadow::clear_shadow))
        .routes(routes!(
            models::default::get_default_model,
            models::default::set_default_model,
            models::default::clear_default_model
        ))
        .routes(routes!(report::get_report))
        .routes(routes!(report::get_picture))
        .routes(routes!(health::get_liveness))
        .routes(routes!(health::get_readiness))
        .routes(routes!(metrics::get_metrics))
}

fn inference_protocol() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(v2::health::v2_get_server))
        .routes(routes!(v2::health::v2_get_liveness))
        .routes(routes!(v2::health::v2_get_readiness))
        .routes(routes!(v2::health::v2_get_model_readiness))
        .routes(routes!(v2::health::v2_get_version_readiness))
        .routes(routes!(v2::metadata::v2_get_model))
        .routes(routes!(v2::metadata::v2_get_version))
        .routes(routes!(v2::config::v2_get_config))
        .routes(routes!(v2::config::v2_get_version_config))
        .routes(routes!(v2::statistics::v2_list_statistics))
        .routes(routes!(v2::statistics::v2_get_statistics))
        .routes(routes!(v2::statistics::v2_get_version_statistics))
        .routes(routes!(v2::infer::v2_infer))
        .routes(routes!(v2::infer::v2_infer_version))
        .routes(routes!(v2::repository::v2_list_repository))
        .routes(routes!(v2::load::v2_load_model))
        .routes(routes!(v2::load::v2_unload_model))
}

/// Routes beside their description are those that a description cannot have: a verb within the last part of an address, and
/// other spellings of addresses that are described.
fn clients() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(custom_vision::custom_vision_classify))
        .route(
            "/customvision/{api}/prediction/{project}/classify/iterations/{model}/image/nostore",
            post(custom_vision::custom_vision_classify),
        )
        .route(
            "/customvision/{api}/prediction/{project}/classify/iterations/{model}/url",
            post(custom_vision::custom_vision_refuse_url),
        )
        .route(
            "/customvision/{api}/prediction/{project}/classify/iterations/{model}/url/nostore",
            post(custom_vision::custom_vision_refuse_url),
        )
        .route(
            "/customvision/{api}/Prediction/{project}/classify/iterations/{model}/image",
            post(custom_vision::custom_vision_classify),
        )
        .route(
            "/customvision/{api}/Prediction/{project}/classify/iterations/{model}/image/nostore",
            post(custom_vision::custom_vision_classify),
        )
        .route(
            "/customvision/{api}/Prediction/{project}/classify/iterations/{model}/url",
            post(custom_vision::custom_vision_refuse_url),
        )
        .route(
            "/customvision/{api}/Prediction/{project}/classify/iterations/{model}/url/nostore",
            post(custom_vision::custom_vision_refuse_url),
        )
        .routes(routes!(hugging_face::hugging_face_classify))
        .routes(routes!(sagemaker::sagemaker_invoke))
        .routes(routes!(sagemaker::sagemaker_invoke_endpoint))
        .routes(routes!(tf_serving::tf_serving_get_status))
        .routes(routes!(tf_serving::tf_serving_get_version_status))
        .routes(routes!(tf_serving::tf_serving_get_metadata))
        .routes(routes!(tf_serving::tf_serving_get_version_metadata))
        .route("/v1/models/{model}", post(tf_serving::tf_serving_predict))
        .route("/v1/models/{model}/versions/{version}", post(tf_serving::tf_serving_predict_version))
        .routes(routes!(torch_serve::get_ping))
        .routes(routes!(torch_serve::torch_serve_predict))
        .routes(routes!(torch_serve::torch_serve_predict_version))
        .route("/predictions/{model}", put(torch_serve::torch_serve_predict))
        .route("/predictions/{model}/{version}", put(torch_serve::torch_serve_predict_version))
        .routes(routes!(vertex::vertex_get_health))
        .route("/v1/projects/{project}/locations/{location}/endpoints/{endpoint}", post(vertex::vertex_predict))
        .route("/v1/endpoints/{endpoint}/deployedModels/{deployed}", post(vertex::vertex_predict_deployed))
}

#[cfg(test)]
mod tests;
