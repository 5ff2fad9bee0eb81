//! Numbers that a user chooses, and what is said of those that make no sense.

use thiserror::Error;

/// A number that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("`{option}` must be {wanted}")]
pub struct OptionError {
    /// Which.
    pub option: &'static str,
    /// What it may be.
    pub wanted: &'static str,
}

/// Goes through a table of whether an option is right, its name and what it may be.
///
/// # Errors
/// [`OptionError`] naming the first that is wrong.
pub(crate) fn check(table: &[(bool, &'static str, &'static str)]) -> Result<(), OptionError> {
    match table.iter().find(|(right, ..)| !right) {
        Some(&(_, option, wanted)) => Err(OptionError { option, wanted }),
        None => Ok(()),
    }
}
