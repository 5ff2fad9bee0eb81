//! The body of an inference request: JSON, and the bytes behind it.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;

use crate::http::extract::ContentCoding;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::http::v1::call::ModelCall;

/// Says how long the JSON in front of a body is.
pub(super) const HEADER_LENGTH: &str = "inference-header-content-length";

/// A body in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InferBody {
    /// JSON, and the tensors that it says are behind it.
    Json { json: Bytes, tensors: Bytes },
    /// One input, and nothing that describes it.
    Raw(Bytes),
}

impl InferBody {
    /// Reads and unpacks the body. What it becomes in memory counts like the body.
    ///
    /// # Errors
    /// The headers do not fit the body, or it does not unpack, or it is too large.
    pub(super) async fn read(request: Request, state: &AppState, call: &ModelCall) -> Result<Self, ApiError> {
        let coding = ContentCoding::of_body(request.headers())?;
        let length = header_length(request.headers())?;
        let body = Bytes::from_request(request, state).await;
        let mut body = body.map_err(|rejection| ApiError::new(Code::BodyUnreadable, rejection.body_text()))?;
        if coding != ContentCoding::Identity {
            body = coding.decode(body, state.limits.body_bytes).await?;
            call.charge(body.len())?;
        }
        Self::split(body, length)
    }

    /// The protocol's rule: no length means JSON alone, 0 means no JSON.
    fn split(mut body: Bytes, length: Option<usize>) -> Result<Self, ApiError> {
        match length {
            Some(0) => Ok(Self::Raw(body)),
            None => Ok(Self::Json { json: body, tensors: Bytes::new() }),
            Some(length) if length <= body.len() => Ok(Self::Json { json: body.split_to(length), tensors: body }),
            Some(length) => {
                let detail = format!("`Inference-Header-Content-Length` is {length}, and the body has {}", body.len());
                Err(ApiError::new(Code::InvalidHeaderLength, detail))
            }
        }
    }
}

fn header_length(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let Some(value) = headers.get(HEADER_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let invalid = || {
        let detail = "`Inference-Header-Content-Length`: send how many bytes of JSON the body begins with";
        ApiError::new(Code::InvalidHeaderLength, detail)
    };
    length.map(Some).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_the_json_divides_a_body() {
        // The binary tensor data extension, "Examples", and "Raw Binary Request".
        let body = Bytes::from_static(b"{}1234");
        let json = |length| Bytes::from_static(&b"{}1234"[..length]);
        let split = |length| InferBody::split(body.clone(), length);
        assert_eq!(split(Some(2)).unwrap(), InferBody::Json { json: json(2), tensors: Bytes::from_static(b"1234") });
        assert_eq!(split(None).unwrap(), InferBody::Json { json: json(6), tensors: Bytes::new() });
        assert_eq!(split(Some(0)).unwrap(), InferBody::Raw(body.clone()));
        assert_eq!(split(Some(7)).unwrap_err().code(), Code::InvalidHeaderLength);
    }
}
