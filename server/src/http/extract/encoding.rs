//! Bodies that are compressed on their way.

use axum::http::{HeaderMap, header};

use crate::http::problem::{ApiError, Code};

/// Refuses a compressed body as what it is: images are compressed already, and what is small for the server to take may be
/// huge to unpack.
pub(in crate::http) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let encoding = String::from_utf8_lossy(value.as_bytes());
    let encoding = encoding.trim();
    match encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        true => Ok(()),
        false => Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!("the body is compressed (`Content-Encoding: {encoding}`); send it as it is, without that header"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_compressed_body_is_called_so() {
        let with = |encoding: &'static [u8]| {
            check(&HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_bytes(encoding).unwrap())]))
        };
        assert!(check(&HeaderMap::new()).is_ok() && with(b"identity").is_ok());
        // What is no text is no `identity` either.
        assert_eq!(with(b"gz\xefp").unwrap_err().code(), Code::UnsupportedMediaType);
        let error = with(b"gzip").unwrap_err();
        assert_eq!(error.code(), Code::UnsupportedMediaType);
        assert!(error.detail().unwrap().contains("`Content-Encoding: gzip`"), "{error:?}");
    }
}
