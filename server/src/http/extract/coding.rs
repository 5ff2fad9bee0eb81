//! Bodies that are compressed on their way, where a protocol asks for it.

use std::io::{self, Read, Write};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use tokio::task::spawn_blocking;

use crate::http::problem::{ApiError, Code};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950: `deflate` means zlib's form in HTTP (RFC 9110, 8.4.1.2).
    Deflate,
}

impl ContentCoding {
    /// How the body of a request is compressed.
    ///
    /// # Errors
    /// [`Code::UnsupportedMediaType`] for any other coding.
    pub fn of_body(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let text = String::from_utf8_lossy(value.as_bytes());
        Self::named(text.trim()).ok_or_else(|| {
            let detail = format!("`Content-Encoding: {text}` is not known; send `gzip`, `deflate`, or no such header");
            ApiError::new(Code::UnsupportedMediaType, detail)
        })
    }

    /// How the client would like its answer: by `gzip` if it takes that, or else `deflate`.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let codings: Vec<&str> = values.flat_map(|value| value.split(',')).filter_map(wanted).collect();
        let wants = |name: &str| codings.iter().any(|coding| coding.eq_ignore_ascii_case(name));
        [("gzip", Self::Gzip), ("deflate", Self::Deflate)]
            .into_iter()
            .find_map(|(name, coding)| wants(name).then_some(coding))
            .unwrap_or(Self::Identity)
    }

    /// The bytes that were compressed, at most so many.
    ///
    /// # Errors
    /// [`Code::InvalidBody`] for bytes that are not compressed so, [`Code::BodyTooLarge`] for too many.
    pub async fn decode(self, body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
        if self == Self::Identity {
            return Ok(body);
        }
        let work = move || {
            let mut bytes = Vec::new();
            let most = limit as u64 + 1;
            let read = match self {
                Self::Gzip => MultiGzDecoder::new(&*body).take(most).read_to_end(&mut bytes),
                Self::Deflate | Self::Identity => ZlibDecoder::new(&*body).take(most).read_to_end(&mut bytes),
            };
            (read, bytes)
        };
        let (read, bytes) = spawn_blocking(work).await.map_err(ApiError::internal)?;
        match read {
            Ok(_) if bytes.len() > limit => {
                let detail = format!("the body has more than {limit} bytes when it is unpacked; send fewer images");
                Err(ApiError::new(Code::BodyTooLarge, detail))
            }
            Ok(_) => Ok(bytes.into()),
            Err(error) => {
                let detail = format!("the body does not unpack as its `Content-Encoding` says: {error}");
                Err(ApiError::new(Code::InvalidBody, detail))
            }
        }
    }

    /// The bytes, compressed.
    ///
    /// # Errors
    /// The work was not done.
    pub async fn encode(self, body: Vec<u8>) -> Result<Vec<u8>, ApiError> {
        if self == Self::Identity {
            return Ok(body);
        }
        let compressed = spawn_blocking(move || self.compressed(&body)).await.map_err(ApiError::internal)?;
        compressed.map_err(ApiError::internal)
    }

    /// The value of `Content-Encoding`.
    #[must_use]
    pub fn header(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Deflate => Some(HeaderValue::from_static("deflate")),
        }
    }

    fn compressed(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
            Self::Deflate | Self::Identity => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }

    /// The coding of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let codings = [
            ("", Self::Identity),
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
        ];
        codings.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }
}

/// The name of a coding in `Accept-Encoding`, unless its weight is 0.
fn wanted(part: &str) -> Option<&str> {
    let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
    let weight = parameters.trim().strip_prefix("q=").map(|weight| weight.trim().parse::<f32>());
    (!matches!(weight, Some(Ok(0.0)))).then_some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    // `printf hello | gzip -n | xxd -p`, and `python3 -c "import zlib; print(zlib.compress(b'hello').hex())"`.
    const GZIP: &str = "1f8b0800000000000003cb48cdc9c9070086a6103605000000";
    const ZLIB: &str = "789ccb48cdc9c90700062c0215";

    fn bytes(text: &str) -> Bytes {
        hex::decode(text).unwrap().into()
    }

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[tokio::test]
    async fn a_body_of_gzip_or_zlib_is_unpacked_up_to_a_limit() {
        for (coding, text) in [(ContentCoding::Gzip, GZIP), (ContentCoding::Deflate, ZLIB)] {
            assert_eq!(coding.decode(bytes(text), 5).await.unwrap(), "hello");
            assert_eq!(coding.decode(bytes(text), 4).await.unwrap_err().code(), Code::BodyTooLarge);
            let cut = bytes(text).slice(..8);
            assert_eq!(coding.decode(cut, 5).await.unwrap_err().code(), Code::InvalidBody);
            let packed = coding.encode(b"hello".to_vec()).await.unwrap();
            assert_eq!(coding.decode(packed.into(), 5).await.unwrap(), "hello");
        }
    }

    #[test]
    fn the_codings_of_a_request_are_named_by_its_headers() {
        let of_body = |value| ContentCoding::of_body(&headers(header::CONTENT_ENCODING, value));
        assert_eq!(of_body("GZip").unwrap(), ContentCoding::Gzip);
        assert_eq!(of_body("deflate").unwrap(), ContentCoding::Deflate);
        assert_eq!(of_body("br").unwrap_err().code(), Code::UnsupportedMediaType);
        let accepted = |value| ContentCoding::accepted(&headers(header::ACCEPT_ENCODING, value));
        assert_eq!(accepted("deflate, gzip"), ContentCoding::Gzip);
        assert_eq!(accepted("gzip;q=0, deflate;q=0.5"), ContentCoding::Deflate);
        assert_eq!(accepted("br, *;q=0"), ContentCoding::Identity);
        assert_eq!(ContentCoding::accepted(&HeaderMap::new()), ContentCoding::Identity);
    }
}
