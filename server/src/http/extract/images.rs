//! Images in a form.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};

use super::encoding;
use crate::datasets::stored::Label;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;

/// The parts named `image` of a form, in its order; at least one.
#[derive(Debug, Clone)]
pub struct Images(pub Vec<Upload>);

/// The parts named `image` of a form, each with its label: that of the part named `label` in the same place, or of the
/// only one. At least one image.
#[derive(Debug, Clone)]
pub struct LabeledImages(pub Vec<(Upload, Label)>);

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
        Ok(Self(Form::read(request, state, &IMAGES).await?.images))
    }
}

impl FromRequest<AppState> for LabeledImages {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let Form { images, labels } = Form::read(request, state, &LABELED_IMAGES).await?;
        let parse =
            |text: &String| text.parse::<Label>().map_err(|error| ApiError::new(Code::InvalidLabel, error.to_string()));
        let labels = labels.iter().map(parse).collect::<Result<Vec<Label>, _>>()?;
        match (labels.len(), images.len()) {
            (1, _) => Ok(Self(images.into_iter().map(|image| (image, labels[0].clone())).collect())),
            (of_labels, of_images) if of_labels == of_images => Ok(Self(images.into_iter().zip(labels).collect())),
            (of_labels, of_images) => {
                let detail = format!(
                    "the form has {of_images} parts named `image` and {of_labels} named `label`; send one label for each \
                     image, in the same order, or one for all"
                );
                Err(ApiError::new(Code::InvalidMultipart, detail))
            }
        }
    }
}

/// Which parts a form may have.
struct FormKind {
    labels: LabelParts,
    /// What to send instead of anything but a form.
    advice: &'static str,
}

/// Whether a form may have parts named `label`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LabelParts {
    Taken,
    Refused,
}

const IMAGES: FormKind = FormKind {
    labels: LabelParts::Refused,
    advice: "send `multipart/form-data` with parts named `image`, or the bytes of one image to `POST /classify/bytes`",
};
const LABELED_IMAGES: FormKind =
    FormKind { labels: LabelParts::Taken, advice: "send `multipart/form-data` with parts named `image` and `label`" };

/// The parts of a form, in its order.
struct Form {
    images: Vec<Upload>,
    labels: Vec<String>,
}

impl Form {
    async fn read(request: Request, state: &AppState, kind: &FormKind) -> Result<Self, ApiError> {
        let most = state.limits.images;
        encoding::check(request.headers())?;
        check_type(request.headers(), kind)?;
        let mut parts = Multipart::from_request(request, state).await.map_err(|_| {
            let detail =
                "the header `content-type` names no boundary of the form; let the program that sends it set it";
            ApiError::new(Code::UnsupportedMediaType, detail)
        })?;
        let mut form = Self { images: Vec::new(), labels: Vec::new() };
        while let Some(part) = parts.next_field().await.map_err(|error| refusal(&error))? {
            match part.name() {
                Some("image") => {}
                Some("label") if kind.labels == LabelParts::Taken => {
                    form.labels.push(part.text().await.map_err(|error| refusal(&error))?);
                    continue;
                }
                // A part that is ignored is a setting that silently has no effect.
                name => {
                    let taken = if kind.labels == LabelParts::Taken { "`image` and `label` are" } else { "`image` is" };
                    let detail = format!("there is a part named `{}`; only {taken} taken", name.unwrap_or_default());
                    return Err(ApiError::new(Code::InvalidMultipart, detail));
                }
            }
            if form.images.len() == most {
                return Err(ApiError::new(Code::TooManyImages, format!("a form may have {most} images")));
            }
            let file_name = part.file_name().map(str::to_owned).filter(|name| !name.is_empty());
            form.images.push(Upload { file_name, bytes: part.bytes().await.map_err(|error| refusal(&error))? });
        }
        if form.images.is_empty() { Err(Code::ImageMissing.into()) } else { Ok(form) }
    }
}

/// Raw images go to another address.
fn check_type(headers: &HeaderMap, kind: &FormKind) -> Result<(), ApiError> {
    let text = headers.get(header::CONTENT_TYPE).map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "multipart/form-data" {
        return Ok(());
    }
    let body =
        if essence.is_empty() { "the body has no content type".to_owned() } else { format!("the body is `{essence}`") };
    Err(ApiError::new(Code::UnsupportedMediaType, format!("{body}; {}", kind.advice)))
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
            let error = check_type(&headers, &IMAGES).unwrap_err();
            let detail = error.detail().unwrap();
            assert!(detail.contains(expected) && detail.contains("`POST /classify/bytes`"), "{detail}");
        }
    }
}
