//! What computes inside ONNX Runtime, with its reason.

use std::fmt;

use onnx::engine::ort;
use onnx::{EngineKind, Provider};
use thiserror::Error;

use super::Library;
use super::search::{Candidate, candidates};
use crate::config::{DataDir, ProviderOptions};
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

/// The user asked for a provider, which is not there.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// No library is usable.
    #[error(
        "no usable {}: {tried}; run `graft runtime install {provider}`, name a library with --{provider}-lib, or use --provider cpu",
        provider.title()
    )]
    None {
        /// What was asked for.
        provider: Provider,
        /// Each candidate, and why it is not used.
        tried: String,
    },
    /// Another engine than ONNX Runtime was taken.
    #[error(
        "--provider {provider} computes inside ONNX Runtime, and the engine is {engine} ({reason}); use --engine ort, or --provider cpu"
    )]
    Engine {
        /// What was asked for.
        provider: Provider,
        /// The engine that was taken.
        engine: EngineKind,
        /// Why it was taken.
        reason: String,
    },
}

/// Why a provider is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is no file of its name in the places that were searched.
    NotFound(String),
    /// There are files, and why each is not used.
    Refused(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(places) => write!(f, "no library was found {places}"),
            Self::Refused(reasons) => f.write_str(reasons),
        }
    }
}

impl SelectedProviders {
    /// ONNX Runtime's own kernels for all models.
    pub(super) fn own(reason: impl Into<String>) -> Self {
        Self { first: Provider::Cpu, rival: None, reason: reason.into() }
    }
}

/// Loads a provider unless the user chose ONNX Runtime's own kernels. `auto` takes the first that has a device, or does without and
/// gives the reason; asking for one by name never does.
///
/// # Errors
/// [`ProviderError`].
pub fn providers(
    options: &ProviderOptions,
    engine: EngineKind,
    engine_reason: &str,
    data: &DataDir,
) -> Result<SelectedProviders, ProviderError> {
    match options.provider.named() {
        Some(Provider::Cpu) => Ok(SelectedProviders::own("chosen by --provider")),
        Some(provider) if engine != EngineKind::Ort => {
            Err(ProviderError::Engine { provider, engine, reason: engine_reason.to_owned() })
        }
        None if engine != EngineKind::Ort => Ok(SelectedProviders::own(format!("{engine} has no other"))),
        Some(provider) => match find_provider(provider, options, data) {
            Ok(Candidate { place, .. }) => {
                let reason = format!("chosen by --provider; {} found {place}", provider.title());
                Ok(SelectedProviders { first: provider, rival: None, reason })
            }
            Err(missing) => Err(ProviderError::None { provider, tried: missing.to_string() }),
        },
        None => Ok(first_usable(options, data)),
    }
}

/// The first provider that has a device, to be measured.
fn first_usable(options: &ProviderOptions, data: &DataDir) -> SelectedProviders {
    let mut refused = Vec::new();
    for provider in Provider::PLUGINS {
        match find_provider(provider, options, data) {
            Ok(Candidate { place, .. }) => {
                let reason = format!("{} found {place}; each model takes the faster one", provider.title());
                return SelectedProviders { rival: Some(provider), ..SelectedProviders::own(reason) };
            }
            Err(Missing::Refused(reasons)) => refused.push(format!("{} is not used: {reasons}", provider.title())),
            Err(Missing::NotFound(_)) => {}
        }
    }
    SelectedProviders::own(match refused.is_empty() {
        true => "no library of another provider was found".to_owned(),
        false => refused.join("; "),
    })
}

/// The first library of a provider that ONNX Runtime takes and that has a device.
///
/// # Errors
/// [`Missing`].
pub fn find_provider(provider: Provider, options: &ProviderOptions, data: &DataDir) -> Result<Candidate, Missing> {
    let Some(library) = Library::of(provider) else {
        return Err(Missing::NotFound("because it is part of ONNX Runtime".to_owned()));
    };
    let mut refused = Vec::new();
    for candidate in candidates(library.spec(), options.library(provider), &data.runtime_dir()) {
        match ort::load_provider(provider, &candidate.path) {
            Ok(()) => return Ok(candidate),
            Err(error) => refused.push(chain(&error)),
        }
    }
    Err(match refused.is_empty() {
        true => Missing::NotFound(library.spec().searched()),
        false => Missing::Refused(refused.join("; ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderChoice;

    /// With files that are no libraries, so that the libraries of this machine do not matter.
    fn selection(provider: ProviderChoice, engine: EngineKind) -> Result<SelectedProviders, ProviderError> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("no-library.so");
        std::fs::write(&library, "no library").unwrap();
        let libraries = Provider::PLUGINS.map(|provider| (provider, library.clone())).to_vec();
        let options = ProviderOptions { provider, libraries };
        super::providers(&options, engine, "chosen by the test", &DataDir::new(folder.path()))
    }

    #[test]
    fn auto_does_without_it_and_says_why() {
        let selected = selection(ProviderChoice::Auto, EngineKind::Ort).unwrap();
        assert_eq!((selected.first, selected.rival), (Provider::Cpu, None));
        // Without ONNX Runtime in this process they are not even looked at.
        for start in ["CUDA is not used: ", "; WebGPU is not used: ", "; OpenVINO is not used: "] {
            assert!(selected.reason.contains(start), "{}", selected.reason);
        }
        assert_eq!(selection(ProviderChoice::Auto, EngineKind::Tract).unwrap().reason, "tract has no other");
    }

    #[test]
    fn what_was_asked_for_by_name_is_had_or_refused() {
        for (choice, name) in
            [(ProviderChoice::OpenVino, "openvino"), (ProviderChoice::Cuda, "cuda"), (ProviderChoice::WebGpu, "webgpu")]
        {
            let error = selection(choice, EngineKind::Ort).unwrap_err().to_string();
            let (install, flag) = (format!("graft runtime install {name},"), format!("--{name}-lib"));
            for part in [&*install, &*flag, "--provider cpu"] {
                assert!(error.replace('`', "").contains(part), "{part}: {error}");
            }
            let error = selection(choice, EngineKind::Tract).unwrap_err().to_string();
            assert!(error.contains("the engine is tract (chosen by the test)"), "{error}");
        }
        let cpu = selection(ProviderChoice::Cpu, EngineKind::Ort).unwrap();
        assert_eq!(cpu, SelectedProviders::own("chosen by --provider"));
    }

    #[test]
    fn what_is_nowhere_is_said_with_the_places_that_were_searched() {
        let folder = tempfile::tempdir().unwrap();
        let (options, data) = (ProviderOptions::default(), DataDir::new(folder.path()));
        let missing = find_provider(Provider::Cuda, &options, &data).unwrap_err().to_string();
        let expected = "no library was found beside the ONNX Runtime that is loaded, beside the executable, in the Python \
                        environment of this program, in the data folder";
        assert_eq!(missing, expected);
    }
}
