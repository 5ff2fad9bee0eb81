//! Small data sets for tests.

use std::path::Path;

use super::sources::bmp;

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
