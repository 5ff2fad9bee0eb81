//! The choice of the engine, with its reason.

use std::num::NonZeroUsize;

use onnx::EngineKind;
use onnx::engine::ort;
use thiserror::Error;

use super::search::candidates;
use super::{Library, ProviderError, SelectedProviders, providers};
use crate::config::{DataDir, EngineChoice, EngineOptions, ProviderOptions};
use crate::failure::chain;

/// The engine of this process.
#[derive(Debug, Clone)]
pub struct SelectedEngine {
    /// ONNX Runtime or tract.
    pub kind: EngineKind,
    /// Why it was chosen, as the second half of a sentence.
    pub reason: String,
    /// The version of ONNX Runtime's library.
    pub version: Option<String>,
    /// The threads that one run may use.
    pub threads: NonZeroUsize,
    /// What computes inside it when the server answers. Everything else, such as training, runs in ONNX Runtime's own kernels.
    pub providers: SelectedProviders,
}

impl SelectedEngine {
    /// An engine that nothing else computes in.
    #[must_use]
    pub fn plain(kind: EngineKind, threads: NonZeroUsize, reason: String) -> Self {
        let providers = SelectedProviders::own("no other was asked for");
        Self { kind, reason, version: None, threads, providers }
    }

    /// The engine of a server, with the provider that the user wants.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn with_providers(self, options: &ProviderOptions, data: &DataDir) -> Result<Self, ProviderError> {
        let providers = providers(options, self.kind, &self.reason, data)?;
        Ok(Self { providers, ..self })
    }
}

/// The user asked for ONNX Runtime and no library is usable.
#[derive(Debug, Error)]
#[error(
    "no usable ONNX Runtime: {tried}; run `graft runtime install`, name a library with --ort-lib, or use --engine tract"
)]
pub struct SelectError {
    tried: String,
}

/// Loads ONNX Runtime's library unless the user chose tract. `auto` falls back to tract and gives the reason; asking for
/// ONNX Runtime by name never falls back.
///
/// # Errors
/// [`SelectError`] listing what was tried, when ONNX Runtime was asked for by name.
pub fn select(options: &EngineOptions, data: &DataDir) -> Result<SelectedEngine, SelectError> {
    let threads = options.threads;
    let tract = |reason| SelectedEngine::plain(EngineKind::Tract, threads, reason);
    if options.engine == EngineChoice::Tract {
        return Ok(tract("chosen by --engine".to_owned()));
    }
    let mut refused = Vec::new();
    let folder = data.runtime_dir();
    for candidate in candidates(Library::OnnxRuntime.spec(), options.library.as_deref(), &folder) {
        match ort::load(&candidate.path, threads) {
            Ok(runtime) => {
                let reason = format!("ONNX Runtime {} found {}", runtime.version(), candidate.place);
                let version = Some(runtime.version().to_owned());
                return Ok(SelectedEngine { version, ..SelectedEngine::plain(EngineKind::Ort, threads, reason) });
            }
            Err(error) => refused.push(chain(&error)),
        }
    }
    let tried = if refused.is_empty() { "no library was found".to_owned() } else { refused.join("; ") };
    match options.engine {
        EngineChoice::Ort => Err(SelectError { tried }),
        _ => Ok(tract(format!("ONNX Runtime is not used: {tried}"))),
    }
}
