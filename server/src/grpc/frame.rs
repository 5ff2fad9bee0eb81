//! A message on its way: five bytes in front of it, and the status behind it ("gRPC over HTTP2").

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;

use super::fields;
use crate::http::extract::ContentCoding;
use crate::http::middleware::body::Intake;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;

/// "Length-Prefixed-Message → Compressed-Flag Message-Length Message": one byte, and four of the length, big-endian.
const PREFIX: usize = 5;
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// How messages of clients may be compressed.
const CODINGS: HeaderValue = HeaderValue::from_static("identity,deflate,gzip");
const OK: HeaderValue = HeaderValue::from_static("0");

/// The message of a request that is small, or of an answer.
pub(super) struct Message<M>(pub(super) M);

impl<M: prost::Message + Default> FromRequest<AppState> for Message<M> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let bytes = unframed(request, state).await?;
        if bytes.len() > state.limits.json_bytes {
            let (length, most) = (bytes.len(), state.limits.json_bytes);
            let detail = format!("the message has {length} bytes, and one without images may have {most}");
            return Err(ApiError::new(Code::BodyTooLarge, detail));
        }
        decode(bytes).map(Self)
    }
}

/// The message of a request that may be large.
///
/// # Errors
/// The body is no message, or a larger one than it may be.
pub(super) async fn read<M: prost::Message + Default>(request: Request, state: &AppState) -> Result<M, ApiError> {
    let bytes = unframed(request, state).await?;
    fields::check(&bytes)?;
    decode(bytes)
}

fn decode<M: prost::Message + Default>(bytes: Bytes) -> Result<M, ApiError> {
    M::decode(bytes).map_err(|error| ApiError::new(Code::InvalidBody, format!("the message does not decode: {error}")))
}

/// The bytes of the one message that a request has.
async fn unframed(request: Request, state: &AppState) -> Result<Bytes, ApiError> {
    if !is_grpc(request.headers()) {
        let detail = "this port answers gRPC, whose `Content-Type` is `application/grpc`";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let coding = coding(request.headers())?;
    let intake = request.extensions().get::<Arc<Intake>>().cloned();
    let body = Bytes::from_request(request, state).await;
    let mut body = body.map_err(|rejection| ApiError::new(Code::BodyUnreadable, rejection.body_text()))?;
    let prefix = body.first_chunk::<PREFIX>().copied().ok_or_else(|| broken("the body has no message"))?;
    let [flag, length @ ..] = prefix;
    let message = body.split_off(PREFIX);
    if u32::from_be_bytes(length) as usize != message.len() {
        return Err(broken("the body is not as long as its message; a call has one message"));
    }
    match flag {
        0 => Ok(message),
        1 => {
            let message = coding.decode(message, state.limits.body_bytes).await?;
            intake.map_or(Ok(()), |intake| intake.take_in(message.len()))?;
            Ok(message)
        }
        _ => Err(broken("the first byte of a message is 0, or 1 where it is compressed")),
    }
}

fn broken(detail: &str) -> ApiError {
    ApiError::new(Code::InvalidBody, detail)
}

/// Whether a request is one of gRPC, in protobuf.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    matches!(kind, Some("application/grpc" | "application/grpc+proto"))
}

fn coding(headers: &HeaderMap) -> Result<ContentCoding, ApiError> {
    let Some(value) = headers.get(ENCODING) else { return Ok(ContentCoding::Identity) };
    let name = String::from_utf8_lossy(value.as_bytes());
    ContentCoding::named(&name).ok_or_else(|| {
        let detail = format!("`{ENCODING}: {name}` is not known; send `gzip`, `deflate`, or no such header");
        ApiError::new(Code::UnsupportedMediaType, detail)
    })
}

impl<M: prost::Message> IntoResponse for Message<M> {
    fn into_response(self) -> Response {
        let length = self.0.encoded_len();
        let Ok(prefix) = u32::try_from(length) else {
            return ApiError::internal(format!("an answer has {length} bytes, and gRPC has room for 4 GiB"))
                .into_response();
        };
        let mut bytes = BytesMut::with_capacity(PREFIX + length);
        bytes.put_u8(0);
        bytes.put_u32(prefix);
        if let Err(error) = self.0.encode(&mut bytes) {
            return ApiError::internal(error).into_response();
        }
        let trailers = HeaderMap::from_iter([(STATUS, OK)]);
        let body = MessageBody { message: Some(bytes.freeze()), trailers: Some(trailers) };
        let mut response = Response::new(Body::new(body));
        response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
        response.headers_mut().insert(ACCEPT_ENCODING, CODINGS);
        response
    }
}

/// An empty answer in place of one message.
pub(super) fn without_message() -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().insert(ACCEPT_ENCODING, CODINGS);
    response
}

/// A message, then the status.
struct MessageBody {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for MessageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.message.take().map(Frame::data).or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }
}
