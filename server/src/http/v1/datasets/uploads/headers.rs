//! What the headers of uploads say.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::datasets::stored::NewUpload;
use crate::http::problem::{ApiError, Code};

/// The version of the protocol, in every answer and in every request but those of `OPTIONS` and `GET`.
pub(super) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub(super) const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(super) const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(super) const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
pub(super) const EXTENSIONS: HeaderValue = HeaderValue::from_static("creation,termination,expiration");
/// The longest metadata that are read, in bytes.
const LONGEST_METADATA: usize = 16 << 10;

pub(super) fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get(TUS_RESUMABLE) == Some(&VERSION) { Ok(()) } else { Err(Code::TusVersionMismatch.into()) }
}

pub(super) fn whole_number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    // The largest that a file can have.
    let value = value.filter(|value| *value <= i64::MAX.cast_unsigned());
    let invalid = || format!("send the header `{name}` with a whole number of bytes");
    value.ok_or_else(|| ApiError::new(Code::InvalidParameter, invalid()))
}

pub(super) fn new_upload(length: u64, headers: &HeaderMap) -> Result<NewUpload, ApiError> {
    let invalid = |reason: String| ApiError::new(Code::InvalidParameter, format!("Upload-Metadata: {reason}"));
    let text = headers.get(UPLOAD_METADATA).map_or(Ok(""), |value| value.to_str());
    let text = text.map_err(|_| invalid("send ASCII".to_owned()))?;
    if text.len() > LONGEST_METADATA {
        return Err(invalid(format!("send at most {LONGEST_METADATA} bytes")));
    }
    let mut upload = NewUpload::new(length, None);
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = base64(value.trim()).and_then(|bytes| String::from_utf8(bytes).ok());
        let value = value.ok_or_else(|| invalid(format!("the value of `{key}` is no text in Base64")))?;
        match key {
            "filename" => upload.file_name = NewUpload::new(length, Some(&value)).file_name,
            "layout" => {
                let layout = serde_json::from_value(serde_json::Value::String(value.clone()));
                upload.layout = layout.map_err(|_| invalid(format!("`{value}` is no layout")))?;
            }
            "classes" => upload.classes = value.split(',').map(|class| class.trim().to_owned()).collect(),
            // Clients send what they know of the file, its type and the like.
            _ => {}
        }
    }
    Ok(upload)
}

/// The bytes that a text in standard Base64 (RFC 4648, section 4) means.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// A time as HTTP writes it (RFC 9110, 5.6.7).
pub(super) fn http_date(time: Timestamp) -> HeaderValue {
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        // The vectors of its section 10.
        for (text, expected) in [("", ""), ("Zg==", "f"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base64(text).as_deref(), Some(expected.as_bytes()), "{text}");
        }
        assert_eq!(base64("Zm9v!"), None);
    }

    #[test]
    fn times_are_written_as_http_has_them() {
        // The example of RFC 9110, 5.6.7.
        assert_eq!(http_date("1994-11-06T08:49:37Z".parse().unwrap()), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
