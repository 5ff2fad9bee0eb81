//! Real photographs and pretrained networks, where there are any.

use std::path::PathBuf;

/// A file or folder of the real test data: `GRAFT_TEST_DATA`, by default `../shared/data` beside the repository. Says so
/// and answers `None` where it is absent; every test that asks has a brother that needs none.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
#[expect(clippy::print_stderr, reason = "the runner shows it beside the test's name")]
pub fn real(path: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let root = std::env::var_os("GRAFT_TEST_DATA").map_or_else(|| beside.into(), PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("SKIPPED: {} is not there; set GRAFT_TEST_DATA to the folder of the test data", found.display());
    None
}
