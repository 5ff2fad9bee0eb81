//! ONNX Runtime for the tests.

use std::path::PathBuf;

/// Loads the library that `ORT_DYLIB_PATH` names. Says so and answers false where there is none; the tests then cover
/// tract alone.
///
/// # Panics
/// When the named file does not load: a wrong name must not look like none.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
#[expect(clippy::print_stderr, reason = "the runner shows it beside the test's name")]
pub fn load() -> bool {
    let Some(path) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) else {
        eprintln!("SKIPPED for ONNX Runtime: set ORT_DYLIB_PATH to its library");
        return false;
    };
    if let Err(error) = onnx::engine::ort::load(&path) {
        panic!("ORT_DYLIB_PATH: {error}");
    }
    true
}
