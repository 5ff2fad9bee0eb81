//! Which engine is taken, and why.

use std::num::NonZeroUsize;

use onnx::EngineKind;
use onnx::engine::ort::{self, LoadError};
use thiserror::Error;

use super::search::candidates;
use crate::config::{DataDir, EngineArgs, EngineChoice};

/// The engine of this process.
#[derive(Debug, Clone)]
pub struct SelectedEngine {
    /// Which it is.
    pub kind: EngineKind,
    /// Why it is this one; a sentence's second half.
    pub reason: String,
    /// The version of ONNX Runtime's library.
    pub version: Option<String>,
    /// How many threads one run may use.
    pub threads: NonZeroUsize,
}

/// ONNX Runtime was asked for and there is none.
#[derive(Debug, Error)]
#[error(
    "no usable ONNX Runtime: {tried}; run `graft runtime install`, name a library with --ort-lib, or use --engine tract"
)]
pub struct SelectError {
    tried: String,
}

/// Loads ONNX Runtime's library if the user wants it, and says what came of it. `auto` falls back to tract and gives the
/// reason; asking for ONNX Runtime by name never does.
///
/// # Errors
/// [`SelectError`] listing what was tried, when ONNX Runtime was asked for by name.
pub fn select(args: &EngineArgs, data: &DataDir) -> Result<SelectedEngine, SelectError> {
    let threads = args.threads();
    let tract = |reason| SelectedEngine { kind: EngineKind::Tract, reason, version: None, threads };
    if args.engine == EngineChoice::Tract {
        return Ok(tract("chosen by --engine".to_owned()));
    }
    let mut refused = Vec::new();
    for candidate in candidates(args.named_library(), data) {
        match ort::load(&candidate.path) {
            Ok(runtime) => {
                let reason = format!("ONNX Runtime {} found {}", runtime.version(), candidate.place);
                let version = Some(runtime.version().to_owned());
                return Ok(SelectedEngine { kind: EngineKind::Ort, reason, version, threads });
            }
            Err(error) => refused.push(explain(&error)),
        }
    }
    let tried = if refused.is_empty() { "no library was found".to_owned() } else { refused.join("; ") };
    match args.engine {
        EngineChoice::Ort => Err(SelectError { tried }),
        _ => Ok(tract(format!("ONNX Runtime is not used: {tried}"))),
    }
}

fn explain(error: &LoadError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
