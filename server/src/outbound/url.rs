//! The address of a web server.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use ureq::http::Uri;

use super::UrlError;

/// The longest address that is stored.
const LONGEST: usize = 2048;

/// An address with `http` or `https`. Whether its host may be reached is another question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In its parts.
    ///
    /// # Errors
    /// [`UrlError::Malformed`], which no address has that was read.
    pub fn uri(&self) -> Result<Uri, UrlError> {
        self.0.parse().map_err(|_| UrlError::Malformed(self.0.clone()))
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let malformed = || UrlError::Malformed(text.chars().take(100).collect());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let spoken = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if text.len() <= LONGEST && spoken { Ok(Self(text.to_owned())) } else { Err(malformed()) }
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
