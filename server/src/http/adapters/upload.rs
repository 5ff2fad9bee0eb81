//! An image as the body, or as the part of a form.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::header;

use crate::http::extract::ImageBytes;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;

/// The image of a request: its body, or, of a form, the part of this name.
///
/// # Errors
/// There is no image, or the body broke off.
pub(super) async fn image(request: Request, state: &AppState, part: &str) -> Result<Bytes, ApiError> {
    if !is_form(&request) {
        let ImageBytes(bytes) = ImageBytes::from_request(request, state).await?;
        return Ok(bytes);
    }
    let mut parts = Multipart::from_request(request, state).await.map_err(|_| {
        let detail = "the header `content-type` names no boundary of the form; let the program that sends it set it";
        ApiError::new(Code::UnsupportedMediaType, detail)
    })?;
    let first = parts.next_field().await.map_err(|error| refusal(&error))?;
    let Some(field) = first else {
        let detail = format!("the form has no part; send the image in a part named `{part}`");
        return Err(ApiError::new(Code::ImageMissing, detail));
    };
    if field.name() == Some(part) {
        return field.bytes().await.map_err(|error| refusal(&error));
    }
    let name = field.name().unwrap_or_default();
    let detail = format!("there is a part named `{name}`; send the image in a part named `{part}`, and no other");
    Err(ApiError::new(Code::InvalidMultipart, detail))
}

fn is_form(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

fn refusal(error: &MultipartError) -> ApiError {
    ApiError::new(Code::InvalidMultipart, error.body_text())
}
