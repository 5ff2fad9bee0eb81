//! Small data sets for tests.

use std::path::Path;

use super::bmp;

/// A BMP file of 32x32 pixels, another for each number.
pub(crate) fn picture(number: usize) -> Vec<u8> {
    bmp::of_cifar(&planes(number))
}

/// Its pixels, channels first.
pub(crate) fn planes(number: usize) -> [u8; bmp::CIFAR_BYTES] {
    std::array::from_fn(|byte| (byte * (number % 97 + 1) + byte / 32 + number) as u8)
}

/// Writes files with their folders.
pub(crate) fn write<'f>(root: &Path, files: impl IntoIterator<Item = (&'f str, Vec<u8>)>) {
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Real photographs, where there are any.
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
#[expect(clippy::print_stderr, reason = "the runner shows it beside the test's name")]
pub(crate) fn real(path: &str) -> Option<std::path::PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let root = std::env::var_os("GRAFT_TEST_DATA").map_or_else(|| beside.into(), std::path::PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("SKIPPED: {} is not there; set GRAFT_TEST_DATA to the folder of the test data", found.display());
    None
}
