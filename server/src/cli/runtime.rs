//! `graft runtime`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use onnx::engine::ort::ProviderError;
use onnx::{EngineKind, Provider};
use serde_json::json;
use server::config::ProviderOptions;
use server::runtime::{self, Candidate, Library};

use super::CommandContext;
use super::output::{self, OutputArgs};

#[derive(Debug, Subcommand)]
pub(super) enum RuntimeCommand {
    /// Get a library with your own `pip download`, check its hash, and put it into the data folder
    Install {
        /// Which one
        #[arg(value_enum, default_value_t)]
        library: LibraryName,
        /// The Python whose pip is used
        #[arg(long, env = "GRAFT_PYTHON", default_value = "python3", value_name = "FILE")]
        python: PathBuf,
    },
    /// Say which engine would serve, and why, and which providers and oneDNN there are
    Show(OutputArgs),
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum LibraryName {
    /// ONNX Runtime, for running models
    #[default]
    Onnxruntime,
    /// oneDNN, for training on processors with matrix units
    Onednn,
    /// OpenVINO, which computes inside ONNX Runtime when the server answers, on Intel's processors
    Openvino,
    /// WebGPU, which computes inside ONNX Runtime on a graphics processor
    Webgpu,
    /// Says what to install for CUDA, which graft does not copy
    Cuda,
}

pub(super) fn run(command: &RuntimeCommand, context: &CommandContext) -> Result<()> {
    match command {
        RuntimeCommand::Install { library, python } => {
            let library = match library {
                LibraryName::Onnxruntime => Library::OnnxRuntime,
                LibraryName::Onednn => Library::OneDnn,
                LibraryName::Openvino => Library::OpenVino,
                LibraryName::Webgpu => Library::WebGpu,
                LibraryName::Cuda => Library::Cuda,
            };
            // It loads into ONNX Runtime, which is to say whether it does.
            if let Some(provider) = library.provider()
                && context.select()?.kind != EngineKind::Ort
            {
                return Err(ProviderError::NoRuntime(provider).into());
            }
            if library != Library::Cuda {
                output::line(format_args!("downloading {} with pip", library.spec().requirement))?;
            }
            let file = runtime::install(library, &context.data.runtime_dir(), python)?;
            output::line(format_args!("installed {}", file.display()))?;
        }
        RuntimeCommand::Show(format) => show(*format, context)?,
    }
    Ok(())
}

fn show(format: OutputArgs, context: &CommandContext) -> Result<()> {
    let engine = context.select()?;
    let onednn = runtime::onednn(None, &context.data);
    let providers = Provider::PLUGINS.map(|provider| (provider, find(provider, engine.kind, context)));
    let reasons = |refused: &[_]| refused.iter().map(ToString::to_string).collect::<Vec<String>>().join("; ");
    if format.is_json() {
        let onednn = match &onednn {
            Ok((library, candidate)) => {
                json!({"version": library.version().to_string(), "place": candidate.place.to_string()})
            }
            Err(refused) => json!({"missing": reasons(refused)}),
        };
        let (kind, version, threads, reason) = (engine.kind, engine.version, engine.threads, engine.reason);
        let mut shown = json!({
            "engine": {"kind": kind, "version": version, "threads": threads, "reason": reason},
            "onednn": onednn,
        });
        for (provider, found) in providers {
            shown[provider.to_string()] = match found {
                Ok(candidate) => json!({"place": candidate.place}),
                Err(missing) => json!({"missing": missing}),
            };
        }
        return Ok(output::json(&shown)?);
    }
    output::line(format_args!("{} on {} thread(s): {}", engine.kind, engine.threads, engine.reason))?;
    for (provider, found) in providers {
        match found {
            Ok(candidate) => output::line(format_args!("{} found {}", provider.title(), candidate.place))?,
            Err(missing) => output::line(format_args!("no {}: {missing}", provider.title()))?,
        }
    }
    match onednn {
        Ok((library, candidate)) => {
            output::line(format_args!("oneDNN {} found {}", library.version(), candidate.place))?;
        }
        Err(refused) if refused.is_empty() => output::line(format_args!("no oneDNN was found"))?,
        Err(refused) => output::line(format_args!("no oneDNN: {}", reasons(&refused)))?,
    }
    Ok(())
}

/// Where a provider is, or why there is none.
fn find(provider: Provider, engine: EngineKind, context: &CommandContext) -> Result<Candidate, String> {
    match engine {
        EngineKind::Ort => runtime::find_provider(provider, &ProviderOptions::default(), &context.data)
            .map_err(|missing| missing.to_string()),
        EngineKind::Tract => Err("it computes inside ONNX Runtime, which is not used".to_owned()),
    }
}
