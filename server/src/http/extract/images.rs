//! Images in a form.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};

use super::encoding;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;

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

impl FromRequest<AppState> for Images {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let most = state.limits.images;
        encoding::check(request.headers())?;
        check_type(request.headers())?;
        let mut form = Multipart::from_request(request, state).await.map_err(|_| {
            let detail =
                "the header `content-type` names no boundary of the form; let the program that sends it set it";
            ApiError::new(Code::UnsupportedMediaType, detail)
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
            if uploads.len() == most {
                return Err(ApiError::new(Code::TooManyImages, format!("a form may have {most} images")));
            }
            let file_name = part.file_name().map(str::to_owned).filter(|name| !name.is_empty());
            uploads.push(Upload { file_name, bytes: part.bytes().await.map_err(|error| refusal(&error))? });
        }
        if uploads.is_empty() { Err(Code::ImageMissing.into()) } else { Ok(Self(uploads)) }
    }
}

/// Raw images go to another address.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = headers.get(header::CONTENT_TYPE).map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "multipart/form-data" {
        return Ok(());
    }
    let body =
        if essence.is_empty() { "the body has no content type".to_owned() } else { format!("the body is `{essence}`") };
    let advice =
        "send `multipart/form-data` with parts named `image`, or the bytes of one image to `POST /classify/bytes`";
    Err(ApiError::new(Code::UnsupportedMediaType, format!("{body}; {advice}")))
}

fn refusal(error: &MultipartError) -> ApiError {
    ApiError::new(Code::InvalidMultipart, error.body_text())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_raw_image_is_sent_to_the_address_that_takes_it() {
        for (content_type, expected) in [
            ("image/jpeg", "the body is `image/jpeg`; send `multipart/form-data`"),
            ("", "the body has no content type; send `multipart/form-data`"),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            let error = check_type(&headers).unwrap_err();
            let detail = error.detail().unwrap();
            assert!(detail.contains(expected) && detail.contains("`POST /classify/bytes`"), "{detail}");
        }
    }
}
