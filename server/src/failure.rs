//! Errors and panics as text, and which of them may pass.

use std::error::Error;
use std::io::{self, ErrorKind};

pub use models::failure::{chain, panic_message};

/// The code of a failure of the store.
pub(crate) const STORE_FAILED: &str = "store_failed";
/// The code of a disk that took no more.
pub(crate) const STORAGE_FULL: &str = "storage_full";

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
}
