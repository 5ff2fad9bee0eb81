//! Numbers that are none, in JSON.

use serde::{Deserialize, Deserializer};

pub(super) fn nan() -> f64 {
    f64::NAN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_nan(number: &f64) -> bool {
    number.is_nan()
}

/// JSON has no NaN: it is written as `null`, and comes back as what it was.
pub(crate) fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
