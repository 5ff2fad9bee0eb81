//! ONNX Runtime for the tests.

/// Loads the library that `ORT_DYLIB_PATH` names. Returns `false` where the variable is not set; the tests then cover tract
/// alone.
///
/// # Panics
/// When the library does not load: a wrong path must not look like an absent library.
#[must_use]
pub fn load() -> bool {
    let Some(path) = fixtures::Library::OnnxRuntime.path() else { return false };
    if let Err(error) = onnx::engine::ort::load(&path, std::num::NonZeroUsize::MIN) {
        panic!("ORT_DYLIB_PATH: {error}");
    }
    true
}
