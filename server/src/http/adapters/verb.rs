//! Addresses that end in a verb, as Google's do: `flowers:predict`.

use crate::http::problem::{ApiError, Code};

/// What an address asks for. The router takes the last part as a whole: it knows no variable that ends within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Predict,
    Classify,
}

impl Verb {
    /// The name before the verb, and the verb.
    ///
    /// # Errors
    /// [`Code::RouteNotFound`] for any other verb, or none.
    pub(super) fn split(text: &str) -> Result<(&str, Self), ApiError> {
        let (name, verb) = text.rsplit_once(':').unwrap_or((text, ""));
        match verb {
            "predict" => Ok((name, Self::Predict)),
            "classify" => Ok((name, Self::Classify)),
            _ => Err(ApiError::new(
                Code::RouteNotFound,
                format!("the address ends in `{text}`; end it in `{name}:predict`"),
            )),
        }
    }

    /// The name before `:predict`.
    ///
    /// # Errors
    /// [`Code::RouteNotFound`] for any other verb, or none.
    pub(super) fn predict(text: &str) -> Result<&str, ApiError> {
        match Self::split(text)? {
            (name, Self::Predict) => Ok(name),
            (name, Self::Classify) => Err(ApiError::new(
                Code::RouteNotFound,
                format!("the address ends in `{text}`; end it in `{name}:predict`"),
            )),
        }
    }
}
