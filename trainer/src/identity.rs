//! Names for computations that are looked up again: a run by its checkpoints, features by their cache.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What a result depends on, as named JSON values. Two computations with equal identities give equal results.
///
/// The hash is over canonical text and not over Rust's `Debug` output, so renaming a type or a field in the code changes no
/// identity. Raise the version when the same fields come to mean another result.
///
/// ```
/// use trainer::identity::Identity;
///
/// let identity = Identity::new("graft.example", 1).with("seed", 7).with("classes", ["daisy", "tulip"]);
/// assert_eq!(identity.sha256()?.len(), 64);
/// # Ok::<(), trainer::identity::IdentityError>(())
/// ```
#[derive(Debug)]
pub struct Identity {
    domain: &'static str,
    version: u32,
    fields: Result<BTreeMap<&'static str, Value>, IdentityError>,
}

/// A field that has no JSON form, such as a map whose keys are no strings.
#[derive(Debug, Error)]
#[error("`{field}` cannot be part of an identity: {source}")]
pub struct IdentityError {
    field: &'static str,
    source: serde_json::Error,
}

impl Identity {
    /// An identity without fields. The domain keeps different kinds of computations apart.
    #[must_use]
    pub fn new(domain: &'static str, version: u32) -> Self {
        Self { domain, version, fields: Ok(BTreeMap::new()) }
    }

    /// Adds a field. The order in which fields are added does not matter; a second one of the same name replaces the first.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Serialize) -> Self {
        if let Ok(fields) = &mut self.fields {
            match serde_json::to_value(value) {
                Ok(value) => {
                    fields.insert(field, value);
                }
                Err(source) => self.fields = Err(IdentityError { field, source }),
            }
        }
        self
    }

    /// The SHA-256 of the canonical text, 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`IdentityError`] naming the first field that has no JSON form.
    pub fn sha256(self) -> Result<String, IdentityError> {
        let fields = self.fields?.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        let mut text = format!("{} {}\n", self.domain, self.version);
        write_canonical(&Value::Object(fields), &mut text);
        Ok(hex::encode(Sha256::digest(text)))
    }
}

/// JSON without spaces and with sorted keys, whatever order `serde_json` keeps them in.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_canonical(&Value::String(key.clone()), out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_canonical(value, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn sample() -> Identity {
        Identity::new("graft.test", 1).with("rate", 0.05).with("options", json!({ "b": [1, null], "a": "ä\"" }))
    }

    /// `printf 'graft.test 1\n{"options":{"a":"ä\\"","b":[1,null]},"rate":0.05}' | sha256sum`
    #[test]
    fn an_identity_is_the_hash_of_sorted_json() {
        assert_eq!(sample().sha256().unwrap(), "970889518e21fa067b724bf01a96f4002196636e3e6114fcb40ff3a4590c7ef4");
    }

    #[test]
    fn order_does_not_matter_and_domain_version_and_values_do() {
        let same =
            Identity::new("graft.test", 1).with("options", json!({ "a": "ä\"", "b": [1, null] })).with("rate", 0.05);
        let hash = sample().sha256().unwrap();
        assert_eq!(same.sha256().unwrap(), hash);
        assert_ne!(Identity { domain: "graft.other", ..sample() }.sha256().unwrap(), hash);
        assert_ne!(Identity { version: 2, ..sample() }.sha256().unwrap(), hash);
        assert_ne!(sample().with("rate", 0.06).sha256().unwrap(), hash);
    }

    #[test]
    fn a_field_without_a_json_form_is_named() {
        let error = Identity::new("graft.test", 1).with("map", HashMap::from([([1, 2], 3)])).sha256().unwrap_err();
        assert!(error.to_string().starts_with("`map` cannot be part of an identity"), "{error}");
    }
}
