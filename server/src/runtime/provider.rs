//! What computes inside ONNX Runtime when the server answers, with its reason.

use onnx::engine::ort;
use onnx::{EngineKind, Provider};
use thiserror::Error;

use super::Library;
use super::search::{Candidate, candidates};
use crate::config::{DataDir, ProviderChoice, ProviderOptions};
use crate::failure::chain;

/// What may compute inside ONNX Runtime in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedProviders {
    /// What models run in.
    pub first: Provider,
    /// What is measured beside it for each model, which takes the faster one.
    pub rival: Option<Provider>,
    /// Why, as the second half of a sentence.
    pub reason: String,
}

/// The user asked for OpenVINO, which is not there.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// No library is usable.
    #[error(
        "no usable OpenVINO: {tried}; run `graft runtime install openvino`, name a library with --openvino-lib, or use --provider cpu"
    )]
    None {
        /// Each candidate, and why it is not used.
        tried: String,
    },
    /// Another engine than ONNX Runtime was taken.
    #[error(
        "--provider openvino computes inside ONNX Runtime, and the engine is {engine} ({reason}); use --engine ort, or --provider cpu"
    )]
    Engine {
        /// The engine that was taken.
        engine: EngineKind,
        /// Why it was taken.
        reason: String,
    },
}

impl SelectedProviders {
    /// ONNX Runtime's own kernels for all models.
    pub(super) fn own(reason: impl Into<String>) -> Self {
        Self { first: Provider::Cpu, rival: None, reason: reason.into() }
    }
}

/// Loads OpenVINO's provider unless the user chose ONNX Runtime's own kernels. `auto` does without it and gives the reason; asking for
/// OpenVINO by name never does.
///
/// # Errors
/// [`ProviderError`].
pub fn providers(
    options: &ProviderOptions,
    engine: EngineKind,
    engine_reason: &str,
    data: &DataDir,
) -> Result<SelectedProviders, ProviderError> {
    if options.provider == ProviderChoice::Cpu {
        return Ok(SelectedProviders::own("chosen by --provider"));
    }
    let is_asked_for = options.provider == ProviderChoice::OpenVino;
    if engine != EngineKind::Ort {
        return match is_asked_for {
            true => Err(ProviderError::Engine { engine, reason: engine_reason.to_owned() }),
            false => Ok(SelectedProviders::own(format!("{engine} has no other"))),
        };
    }
    match openvino(options, data) {
        Ok(Candidate { place, .. }) if is_asked_for => {
            let reason = format!("chosen by --provider; OpenVINO found {place}");
            Ok(SelectedProviders { first: Provider::OpenVino, rival: None, reason })
        }
        Ok(Candidate { place, .. }) => {
            let reason = format!("OpenVINO found {place}; each model takes the faster one");
            Ok(SelectedProviders { rival: Some(Provider::OpenVino), ..SelectedProviders::own(reason) })
        }
        Err(tried) if is_asked_for => Err(ProviderError::None { tried }),
        Err(tried) => Ok(SelectedProviders::own(format!("OpenVINO is not used: {tried}"))),
    }
}

/// The first provider library that ONNX Runtime takes.
///
/// # Errors
/// Why each candidate is not used.
pub fn openvino(options: &ProviderOptions, data: &DataDir) -> Result<Candidate, String> {
    let mut refused = Vec::new();
    for candidate in candidates(Library::OpenVino.spec(), options.library.as_deref(), &data.runtime_dir()) {
        match ort::load_openvino(&candidate.path) {
            Ok(()) => return Ok(candidate),
            Err(error) => refused.push(chain(&error)),
        }
    }
    Err(if refused.is_empty() { "no library was found".to_owned() } else { refused.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a file that is no library, so that the libraries of this machine do not matter.
    fn selection(provider: ProviderChoice, engine: EngineKind) -> Result<SelectedProviders, ProviderError> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime_providers_openvino_plugin.so");
        std::fs::write(&library, "no library").unwrap();
        let options = ProviderOptions { provider, library: Some(library) };
        super::providers(&options, engine, "chosen by the test", &DataDir::new(folder.path()))
    }

    #[test]
    fn auto_does_without_it_and_says_why() {
        let selected = selection(ProviderChoice::Auto, EngineKind::Ort).unwrap();
        assert_eq!((selected.first, selected.rival), (Provider::Cpu, None));
        // Without ONNX Runtime in this process it is not even looked at.
        assert!(selected.reason.starts_with("OpenVINO is not used: "), "{}", selected.reason);
        assert_eq!(selection(ProviderChoice::Auto, EngineKind::Tract).unwrap().reason, "tract has no other");
    }

    #[test]
    fn what_was_asked_for_by_name_is_had_or_refused() {
        let error = selection(ProviderChoice::OpenVino, EngineKind::Ort).unwrap_err().to_string();
        assert!(error.contains("graft runtime install openvino") && error.contains("--provider cpu"), "{error}");
        let error = selection(ProviderChoice::OpenVino, EngineKind::Tract).unwrap_err().to_string();
        assert!(error.contains("the engine is tract (chosen by the test)"), "{error}");
        let cpu = selection(ProviderChoice::Cpu, EngineKind::Ort).unwrap();
        assert_eq!(cpu, SelectedProviders::own("chosen by --provider"));
    }
}
