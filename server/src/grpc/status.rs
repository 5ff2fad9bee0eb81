//! Errors as clients of gRPC read them. Code and detail come from the table of errors, as everywhere.

use std::fmt::Write;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use prost::Message;

use super::frame::{STATUS, is_grpc, without_message};
use crate::http::problem::{ApiError, Code, RpcStatus};

const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// A `google.rpc.Status` with more than a text.
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// After how many milliseconds clients with a retry policy should try again (gRPC's A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Where gRPC says more than HTTP's status: methods that are not there, and messages that are too large.
const OWN: &[(Code, RpcStatus)] = &[
    (Code::RouteNotFound, RpcStatus::Unimplemented),
    (Code::MethodNotAllowed, RpcStatus::Unimplemented),
    (Code::UnsupportedMediaType, RpcStatus::Unimplemented),
    (Code::BodyTooLarge, RpcStatus::ResourceExhausted),
    (Code::BodyTimeout, RpcStatus::DeadlineExceeded),
    (Code::StorageFull, RpcStatus::ResourceExhausted),
];

/// The outermost layer: the answer to a call has the status 200 and its error in the headers ("Trailers-Only"). What is no call
/// of gRPC is answered as over HTTP.
pub(super) async fn translate(request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    let mut response = next.run(request).await;
    // HTTP/2 knows no such header; the connection itself tells the client.
    response.headers_mut().remove(header::CONNECTION);
    if !grpc {
        return response;
    }
    match response.extensions().get::<ApiError>() {
        Some(error) => refusal(error, &response),
        None => response,
    }
}

fn refusal(error: &ApiError, over_http: &Response) -> Response {
    let status = status(error.code());
    let text = error.detail().unwrap_or(error.code().entry().remedy);
    let mut response = without_message();
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(status as i32));
    if let Ok(value) = HeaderValue::try_from(escaped(text)) {
        headers.insert(MESSAGE, value);
    }
    let retry_after = over_http.headers().get(header::RETRY_AFTER);
    let seconds = retry_after.and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u32>().ok());
    if let Some(seconds) = seconds {
        headers.insert(PUSHBACK, HeaderValue::from(u64::from(seconds) * 1000));
        let delay = RetryInfo { retry_delay: Some(Delay { seconds: seconds.into() }) }.encode_to_vec();
        let details = vec![Detail { type_url: RETRY_INFO.to_owned(), value: delay.into() }];
        let details = StatusDetails { code: status as i32, message: text.to_owned(), details };
        if let Ok(value) = HeaderValue::try_from(STANDARD_NO_PAD.encode(details.encode_to_vec())) {
            headers.insert(DETAILS, value);
        }
    }
    for (name, value) in over_http.headers() {
        if name.as_str().starts_with("x-") || name == "server-timing" {
            headers.insert(name, value.clone());
        }
    }
    response
}

/// The status for a row of the table of errors.
pub(super) fn status(code: Code) -> RpcStatus {
    let own = OWN.iter().find(|(known, _)| *known == code).map(|(_, status)| *status);
    own.unwrap_or_else(|| RpcStatus::of_http(code.entry().status.as_u16()))
}

/// "Percent-Encoded": everything but the visible characters of ASCII and the blank, and the sign itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(byte.into()),
            // Writing into a text cannot fail.
            _ => write!(escaped, "%{byte:02X}").unwrap_or(()),
        }
    }
    escaped
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct StatusDetails {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`, in whole seconds.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_status_of_grpc() {
        // The meanings of google/rpc/code.proto.
        for (code, expected) in [
            (Code::ModelNotFound, RpcStatus::NotFound),
            (Code::InvalidTensor, RpcStatus::InvalidArgument),
            (Code::NotAnImage, RpcStatus::InvalidArgument),
            (Code::Overloaded, RpcStatus::ResourceExhausted),
            (Code::RateLimited, RpcStatus::ResourceExhausted),
            (Code::BodyTooLarge, RpcStatus::ResourceExhausted),
            (Code::ServerBusy, RpcStatus::Unavailable),
            (Code::ModelLoading, RpcStatus::Unavailable),
            (Code::DeadlineExceeded, RpcStatus::DeadlineExceeded),
            (Code::Unauthorized, RpcStatus::Unauthenticated),
            (Code::Forbidden, RpcStatus::PermissionDenied),
            (Code::RouteNotFound, RpcStatus::Unimplemented),
            (Code::Internal, RpcStatus::Internal),
        ] {
            assert_eq!(status(code), expected, "{code:?}");
        }
    }

    #[test]
    fn a_text_is_escaped_as_the_protocol_says() {
        // `urllib.parse.quote("50 % of “x”\n", safe=" …")` with every other visible character of ASCII safe.
        assert_eq!(escaped("50 % of \u{201c}x\u{201d}\n"), "50 %25 of %E2%80%9Cx%E2%80%9D%0A");
    }
}
