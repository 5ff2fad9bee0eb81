//! Which models the readiness of the server depends on.

use std::convert::Infallible;
use std::str::FromStr;

/// The models that have to answer before the server says that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyPolicy {
    /// One of them. A store without classifiers is ready: one can be fine-tuned.
    Any,
    /// Every one of them.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

impl FromStr for ReadyPolicy {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "any" => Self::Any,
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }
}
