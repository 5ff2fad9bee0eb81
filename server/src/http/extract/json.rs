//! A JSON body.

use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

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

/// A field that may be left out, and is not null where it is there: serde takes null for left out, the description of the
/// interface does not. For `deserialize_with`, beside `default`.
///
/// # Errors
/// Those of `T`.
pub fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Change {
        #[serde(default, deserialize_with = "not_null")]
        label: Option<String>,
    }

    #[test]
    fn a_field_may_be_left_out_and_not_be_null() {
        let label = |text: &str| serde_json::from_str::<Change>(text).map(|change| change.label);
        assert_eq!(label("{}").unwrap(), None);
        assert_eq!(label(r#"{"label":"tulip"}"#).unwrap().as_deref(), Some("tulip"));
        let error = label(r#"{"label":null}"#).unwrap_err().to_string();
        assert!(error.starts_with("invalid type: null, expected a string"), "{error}");
    }
}
