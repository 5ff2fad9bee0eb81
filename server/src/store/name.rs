//! Names of models.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A model's name: 1 to 64 letters, digits, `.`, `_` and `-`, the first of them no dot. It is a folder's name and a part
/// of URLs, and needs no quoting in either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

/// A text that is no model's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a model name; use 1 to 64 letters, digits, `.`, `_` and `-`, not beginning with a dot")]
pub struct InvalidName(String);

const LONGEST: usize = 64;

/// Whether a text can be a folder's name and a part of URLs without quoting: letters, digits, `.`, `_` and `-`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}

impl ModelName {
    /// The name of the model that comes with the program.
    pub const STARTER: &'static str = "starter";

    /// [`ModelName::STARTER`], the base of a fine-tune that names none.
    #[must_use]
    pub fn starter() -> Self {
        Self(Self::STARTER.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        if is_plain_name(&name) { Ok(Self(name)) } else { Err(InvalidName(name)) }
    }
}

impl FromStr for ModelName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        name.to_owned().try_into()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0
    }
}

impl AsRef<str> for ModelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folder_names() {
        for name in ["flowers", "resnet50-v2.1", "A_b"] {
            assert_eq!(name.parse::<ModelName>().unwrap().as_str(), name);
        }
        let long = "x".repeat(65);
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "rosé", long.as_str()] {
            assert_eq!(name.parse::<ModelName>(), Err(InvalidName(name.to_owned())));
        }
    }
}
