//! What computes inside ONNX Runtime.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use onnx::Provider;

/// The flags of the provider.
#[derive(Debug, Clone, Default, Args)]
pub struct ProviderArgs {
    /// What computes inside ONNX Runtime. `auto`: where a server answers, it measures CUDA, WebGPU or OpenVINO, the first whose library is
    /// found and has a device, beside ONNX Runtime's own kernels for each model, and says which it took and why; commands, and a server's
    /// jobs, take ONNX Runtime's own kernels
    #[arg(long, env = "GRAFT_PROVIDER", value_enum, default_value_t = ProviderChoice::Auto)]
    provider: ProviderChoice,

    /// The library file of OpenVINO's provider for ONNX Runtime, with its companions beside it [default: searched for]
    #[arg(long, env = "GRAFT_OPENVINO", value_name = "FILE")]
    openvino_lib: Option<PathBuf>,

    /// The library file of CUDA's provider for ONNX Runtime [default: searched for]
    #[arg(long, env = "GRAFT_CUDA", value_name = "FILE")]
    cuda_lib: Option<PathBuf>,

    /// The library file of WebGPU's provider for ONNX Runtime [default: searched for]
    #[arg(long, env = "GRAFT_WEBGPU", value_name = "FILE")]
    webgpu_lib: Option<PathBuf>,
}

/// The provider that the user wants, as plain values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderOptions {
    /// The provider, or the faster one.
    pub provider: ProviderChoice,
    /// The libraries that the user named.
    pub libraries: Vec<(Provider, PathBuf)>,
}

impl ProviderOptions {
    /// The same options as arguments of another graft process.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let choice = self.provider.named().map_or("auto".to_owned(), |provider| provider.to_string());
        let mut arguments: Vec<OsString> = vec!["--provider".into(), choice.into()];
        arguments.extend(
            self.libraries.iter().flat_map(|(provider, path)| [format!("--{provider}-lib").into(), path.into()]),
        );
        arguments
    }

    /// The library that the user named for a provider.
    #[must_use]
    pub fn library(&self, provider: Provider) -> Option<&Path> {
        self.libraries.iter().find(|(named, _)| *named == provider).map(|(_, path)| path.as_path())
    }
}

impl ProviderArgs {
    /// The flags as plain values.
    #[must_use]
    pub fn resolve(&self) -> ProviderOptions {
        let named = [
            (Provider::OpenVino, &self.openvino_lib),
            (Provider::Cuda, &self.cuda_lib),
            (Provider::WebGpu, &self.webgpu_lib),
        ];
        let named = named.into_iter().filter_map(|(provider, path)| Some((provider, path.clone()?)));
        let libraries = named.filter(|(_, path)| !path.as_os_str().is_empty()).collect();
        ProviderOptions { provider: self.provider, libraries }
    }
}

/// A provider by name, or the faster one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProviderChoice {
    /// Where a server answers, for each model the faster of ONNX Runtime's own kernels and another provider, if there is one; else its
    /// own kernels.
    #[default]
    Auto,
    /// ONNX Runtime's own kernels.
    Cpu,
    /// OpenVINO or an error.
    #[value(name = "openvino")]
    OpenVino,
    /// CUDA or an error. It has not been run on a graphics processor yet.
    Cuda,
    /// WebGPU or an error. It has not been run on a graphics processor yet.
    #[value(name = "webgpu")]
    WebGpu,
}

impl ProviderChoice {
    /// The provider that is asked for by name.
    #[must_use]
    pub fn named(self) -> Option<Provider> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some(Provider::Cpu),
            Self::OpenVino => Some(Provider::OpenVino),
            Self::Cuda => Some(Provider::Cuda),
            Self::WebGpu => Some(Provider::WebGpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_told_the_same() {
        let libraries = vec![(Provider::OpenVino, "plugin.so".into()), (Provider::Cuda, "cuda.so".into())];
        let options = ProviderOptions { provider: ProviderChoice::OpenVino, libraries };
        let expected = ["--provider", "openvino", "--openvino-lib", "plugin.so", "--cuda-lib", "cuda.so"];
        assert_eq!(options.arguments(), expected);
        assert_eq!(ProviderOptions::default().arguments(), ["--provider", "auto"]);
    }

    #[test]
    fn names_are_those_of_the_flags() {
        for choice in ProviderChoice::value_variants() {
            let options = ProviderOptions { provider: *choice, ..ProviderOptions::default() };
            assert_eq!(options.arguments()[1], choice.to_possible_value().unwrap().get_name());
        }
    }
}
