//! Errors and panics as text.

use std::any::Any;
use std::error::Error;
use std::io::{self, ErrorKind};

/// The code of a failure of the store.
pub(crate) const STORE_FAILED: &str = "store_failed";
/// The code of a disk that took no more.
pub(crate) const STORAGE_FULL: &str = "storage_full";

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

/// Whether a disk that takes no more is what an error comes from: it is full, or a quota or a limit of the process is used
/// up.
#[must_use]
pub fn is_full_disk(error: &(dyn Error + 'static)) -> bool {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    let mut causes = std::iter::successors(Some(error), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| full.contains(&error.kind())))
}

/// Whether another attempt may not meet a failure with this code: there may be room on the disk by then.
#[must_use]
pub fn is_transient(code: &str) -> bool {
    [STORE_FAILED, STORAGE_FULL].contains(&code)
}

/// What a thread panicked with; `without a message` if that was no text.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the models")]
    struct Outer(#[from] StoreError);

    #[test]
    fn a_full_disk_is_told_wherever_it_is_in_the_chain_of_causes() {
        let from = |kind: ErrorKind| Outer(StoreError::Io { path: "models".into(), source: kind.into() });
        // What write(2) and quotas say: ENOSPC, EDQUOT, EFBIG.
        for number in [28, 122, 27] {
            let source = io::Error::from_raw_os_error(number);
            assert!(is_full_disk(&source), "{source}");
            assert!(is_full_disk(&from(source.kind())), "{source}");
        }
        assert!(!is_full_disk(&from(ErrorKind::PermissionDenied)));
    }

    #[test]
    fn causes_are_named_once() {
        let inner = StoreError::Io { path: "models".into(), source: io::Error::other("disk on fire") };
        assert_eq!(chain(&inner), "models: disk on fire");
        assert_eq!(chain(&Outer(inner)), "cannot open the models: models: disk on fire");
    }
}
