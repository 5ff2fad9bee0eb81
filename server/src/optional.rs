//! Fields of requests that may be left out.

use serde::de::{Deserialize, Deserializer};

/// A field that may be left out, and is not null where it is there: serde takes null for left out, the description of the
/// interface does not. For `deserialize_with`, beside `default`.
///
/// # Errors
/// Those of `T`.
pub fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Change {
        #[serde(default, deserialize_with = "not_null")]
        label: Option<String>,
    }

    #[test]
    fn a_field_may_be_left_out_and_not_be_null() {
        let label = |text: &str| serde_json::from_str::<Change>(text).map(|change| change.label);
        assert_eq!(label("{}").unwrap(), None);
        assert_eq!(label(r#"{"label":"tulip"}"#).unwrap().as_deref(), Some("tulip"));
        let error = label(r#"{"label":null}"#).unwrap_err().to_string();
        assert!(error.starts_with("invalid type: null, expected a string"), "{error}");
    }
}
