//! A JSON body.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

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
