//! Image files as text in JSON.

use axum::body::Bytes;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;

/// A text is no base64.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("it is not base64 ({0}); send the file in base64, without line breaks")]
pub struct Base64Error(base64::DecodeError);

/// With padding or without it: both are in use.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The bytes of a file in base64, of the standard or the URL-safe alphabet, also as a `data:` URL, which is what browsers
/// make of a file.
///
/// # Errors
/// [`Base64Error`].
pub fn decode(text: &str) -> Result<Bytes, Base64Error> {
    let encoded = match text.split_once(";base64,") {
        Some((scheme, encoded)) if scheme.starts_with("data:") => encoded,
        _ => text,
    };
    let engine = if encoded.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(encoded).map(Bytes::from).map_err(Base64Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_base64_is_read() {
        // RFC 4648, sections 4 and 5; 0xfb 0xff is "+/8=" and "-_8=".
        for text in ["+/8=", "+/8", "-_8=", "-_8", "data:image/png;base64,+/8="] {
            assert_eq!(decode(text).unwrap(), [0xfb, 0xff][..], "{text}");
        }
        for text in ["+/8=\n", "data:image/png,+/8=", "ä", "a"] {
            assert!(decode(text).unwrap_err().to_string().starts_with("it is not base64"), "{text}");
        }
    }
}
