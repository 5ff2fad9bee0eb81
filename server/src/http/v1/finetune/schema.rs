//! The request for a fine-tune as JSON Schema.

use std::sync::LazyLock;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use serde_json::Value;

use crate::http::json_schema::json_schema;
use crate::http::problem::{ApiError, documents};
use crate::http::router::openapi;

/// It is the same for the life of the program.
static SCHEMA: LazyLock<Option<Value>> = LazyLock::new(|| json_schema(&openapi(), "FinetuneRequest"));

const SCHEMA_JSON: HeaderValue = HeaderValue::from_static("application/schema+json");

documents! {
    /// The errors of `GET /finetune/schema`.
    SchemaErrors:
}

/// Describe the request for a fine-tune
///
/// A JSON Schema (2020-12) of the body of `POST /finetune`, with the default and the bounds of each option, for forms and for
/// validation before sending.
#[utoipa::path(
    get, path = "/finetune/schema", operation_id = "get_finetune_schema", tag = "finetune",
    responses((status = 200, description = "The schema.", body = Object, content_type = "application/schema+json"), SchemaErrors)
)]
pub async fn get_finetune_schema() -> Result<([(HeaderName, HeaderValue); 1], Json<&'static Value>), ApiError> {
    let schema = SCHEMA.as_ref();
    let schema = schema.ok_or_else(|| ApiError::internal("the interface describes no `FinetuneRequest`".to_owned()))?;
    Ok(([(header::CONTENT_TYPE, SCHEMA_JSON)], Json(schema)))
}
