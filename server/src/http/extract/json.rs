//! A JSON body.

use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::encoding;
use crate::http::problem::{ApiError, Code};

/// The body, which is JSON, as `T`.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refusal(&rejection)),
        }
    }
}

/// A whole body as `T`, whatever its content type says: `curl -d` calls everything a form.
///
/// # Errors
/// It broke off, is not JSON, or is not `T`.
pub async fn read_json<T: DeserializeOwned, S: Send + Sync>(request: Request, state: &S) -> Result<T, ApiError> {
    encoding::check(request.headers())?;
    let bytes = Bytes::from_request(request, state).await;
    parse_json(&bytes.map_err(|rejection| ApiError::new(Code::BodyUnreadable, rejection.body_text()))?)
}

/// JSON as `T`.
///
/// # Errors
/// [`Code::InvalidJson`] for what is no JSON, [`Code::InvalidBody`] for JSON that is no `T`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let code = if error.is_data() { Code::InvalidBody } else { Code::InvalidJson };
        ApiError::new(code, error.to_string())
    })
}

fn refusal(rejection: &JsonRejection) -> ApiError {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) => {
            let reason = text.strip_prefix("Failed to deserialize the JSON body into the target type: ");
            ApiError::new(Code::InvalidBody, reason.unwrap_or(&text))
        }
        JsonRejection::JsonSyntaxError(_) => {
            let reason = text.strip_prefix("Failed to parse the request body as JSON: ");
            ApiError::new(Code::InvalidJson, reason.unwrap_or(&text))
        }
        JsonRejection::MissingJsonContentType(_) => {
            ApiError::new(Code::UnsupportedMediaType, "send JSON with the header `content-type: application/json`")
        }
        _ => ApiError::new(Code::BodyUnreadable, text),
    }
}
