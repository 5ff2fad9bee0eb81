//! Images in a form.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use crate::http::problem::{ApiError, Code};

/// The parts named `image` of a form, in its order; at least one.
#[derive(Debug, Clone)]
pub struct Images(pub Vec<Upload>);

/// One uploaded file.
#[derive(Debug, Clone)]
pub struct Upload {
    /// As the client names it.
    pub file_name: Option<String>,
    /// Its content.
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Images {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let mut form = Multipart::from_request(request, state).await.map_err(|rejection| {
            ApiError::new(Code::UnsupportedMediaType, format!("send `multipart/form-data`: {}", rejection.body_text()))
        })?;
        let mut uploads = Vec::new();
        while let Some(part) = form.next_field().await.map_err(|error| refusal(&error))? {
            match part.name() {
                Some("image") => {}
                // A part that is ignored is a setting that silently has no effect.
                name => {
                    let detail = format!("there is a part named `{}`; only `image` is taken", name.unwrap_or_default());
                    return Err(ApiError::new(Code::InvalidMultipart, detail));
                }
            }
            let file_name = part.file_name().map(str::to_owned).filter(|name| !name.is_empty());
            uploads.push(Upload { file_name, bytes: part.bytes().await.map_err(|error| refusal(&error))? });
        }
        if uploads.is_empty() { Err(Code::ImageMissing.into()) } else { Ok(Self(uploads)) }
    }
}

fn refusal(error: &MultipartError) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge.into(),
        _ => ApiError::new(Code::InvalidMultipart, error.body_text()),
    }
}
