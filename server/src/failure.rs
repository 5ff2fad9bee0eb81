//! Errors and panics as text.

use std::any::Any;
use std::error::Error;

/// An error with its causes in one line, no text twice: errors that are also shown alone include their cause.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (**cause).source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The message of a panic.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::store::StoreError;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the models")]
    struct Outer(#[from] StoreError);

    #[test]
    fn causes_are_named_once() {
        let inner = StoreError::Io { path: "models".into(), source: io::Error::other("disk on fire") };
        assert_eq!(chain(&inner), "models: disk on fire");
        assert_eq!(chain(&Outer(inner)), "cannot open the models: models: disk on fire");
    }
}
