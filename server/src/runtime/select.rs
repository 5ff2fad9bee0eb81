//! The choice of the engine, with its reason.

use std::num::NonZeroUsize;

use onnx::engine::ort;
use onnx::{EngineKind, EngineSpec};
use thiserror::Error;

use super::search::candidates;
use super::{Library, ProviderError, SelectedProviders, providers};
use crate::config::{DataDir, EngineChoice, EngineOptions, ProviderChoice, ProviderOptions};
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
    /// What computes inside it. Imports, quantization and what verifies models run in ONNX Runtime's own kernels all the same.
    pub providers: SelectedProviders,
}

impl SelectedEngine {
    /// An engine that nothing else computes in.
    #[must_use]
    pub fn plain(kind: EngineKind, threads: NonZeroUsize, reason: String) -> Self {
        let providers = SelectedProviders::own("no other was asked for");
        Self { kind, reason, version: None, threads, providers }
    }

    /// How finished networks are run outside of a server: with a provider that was asked for by name.
    #[must_use]
    pub fn spec(&self) -> EngineSpec {
        EngineSpec { provider: self.providers.first, ..self.own_kernels() }
    }

    /// The engine with its own kernels alone, which is what decides whether a model is right.
    #[must_use]
    pub fn own_kernels(&self) -> EngineSpec {
        EngineSpec::plain(self.kind, self.threads)
    }

    /// The engine of a command or a job, with the provider that the user names. `auto` names none: what a head learns from, and what an
    /// evaluation measures, does not depend on what else is installed.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn with_named_provider(self, options: &ProviderOptions, data: &DataDir) -> Result<Self, ProviderError> {
        match options.provider {
            ProviderChoice::Auto => Ok(self),
            _ => self.with_providers(options, data),
        }
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
