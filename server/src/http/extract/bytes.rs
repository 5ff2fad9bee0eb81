//! A body that is one image.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};

use super::encoding;
use crate::http::problem::{ApiError, Code};

/// The body as it came. Its format is told by its first bytes, not by the content type.
#[derive(Debug, Clone)]
pub struct ImageBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for ImageBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        encoding::check(request.headers())?;
        check_type(request.headers())?;
        match Bytes::from_request(request, state).await {
            Ok(bytes) if bytes.is_empty() => Err(ApiError::new(Code::ImageEmpty, "the body is empty")),
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) => Err(ApiError::new(Code::BodyUnreadable, rejection.body_text())),
        }
    }
}

/// A form or JSON would be refused as "not an image", which is true and no help.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What `curl --data-binary` sends unless it is told otherwise.
    let careless = essence == "application/x-www-form-urlencoded";
    // What SageMaker's examples send for any format.
    if careless
        || essence == "application/x-image"
        || essence.is_empty()
        || essence == "application/octet-stream"
        || essence.starts_with("image/")
    {
        return Ok(());
    }
    let advice = match essence.as_str() {
        "multipart/form-data" => "send forms to `POST /classify`",
        _ => "send the bytes of an image as `application/octet-stream` or `image/…`",
    };
    Err(ApiError::new(Code::UnsupportedMediaType, format!("the body is `{essence}`; {advice}")))
}
