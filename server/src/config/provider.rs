//! What computes inside ONNX Runtime when the server answers.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The flags of the provider.
#[derive(Debug, Clone, Args)]
pub struct ProviderArgs {
    /// What computes inside ONNX Runtime when the server answers: `auto` measures OpenVINO beside ONNX Runtime's own kernels for each
    /// model, if its library is found and takes this processor, and says which it took and why
    #[arg(long, env = "GRAFT_PROVIDER", value_enum, default_value_t = ProviderChoice::Auto)]
    provider: ProviderChoice,

    /// The library file of OpenVINO's provider for ONNX Runtime, with its companions beside it [default: searched for]
    #[arg(long, env = "GRAFT_OPENVINO", value_name = "FILE")]
    openvino_lib: Option<PathBuf>,
}

/// The provider that the user wants, as plain values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderOptions {
    /// The provider, or the faster one.
    pub provider: ProviderChoice,
    /// The library that the user named.
    pub library: Option<PathBuf>,
}

impl ProviderArgs {
    /// The flags as plain values.
    #[must_use]
    pub fn resolve(&self) -> ProviderOptions {
        let library = self.openvino_lib.clone().filter(|path| !path.as_os_str().is_empty());
        ProviderOptions { provider: self.provider, library }
    }
}

/// A provider by name, or the faster one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProviderChoice {
    /// OpenVINO for the models that it runs faster, if there is one.
    #[default]
    Auto,
    /// ONNX Runtime's own kernels.
    Cpu,
    /// OpenVINO or an error.
    #[value(name = "openvino")]
    OpenVino,
}
