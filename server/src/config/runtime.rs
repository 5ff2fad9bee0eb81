//! The engine that runs models, and the backend that trains.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trainer::backend::{DeviceChoice, Precision};

/// The flags of the engine.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// The engine that runs models: `auto` takes ONNX Runtime if its library is found, else tract, and says which and why
    #[arg(long, env = "GRAFT_ENGINE", global = true, value_enum, default_value_t = EngineChoice::Auto)]
    engine: EngineChoice,

    /// The ONNX Runtime library file, 1.24 or newer [default: searched for]
    #[arg(long, env = "GRAFT_ORT_LIB", global = true, value_name = "FILE")]
    ort_lib: Option<PathBuf>,

    /// As --ort-lib, under the name that other programs with ONNX Runtime use
    #[arg(long, env = "ORT_DYLIB_PATH", global = true, hide = true)]
    ort_dylib_path: Option<PathBuf>,

    /// Threads for one inference [default: the CPU quota of this process]
    #[arg(long, env = "GRAFT_THREADS", global = true, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// The engine that the user wants, as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// The engine, or the best one that there is.
    pub engine: EngineChoice,
    /// The ONNX Runtime library that the user named.
    pub library: Option<PathBuf>,
    /// Threads for one inference.
    pub threads: NonZeroUsize,
}

impl EngineArgs {
    /// The flags as plain values. Without a number of threads it is the affinity mask's and the cgroup quota's.
    #[must_use]
    pub fn resolve(self) -> EngineOptions {
        let library = self.ort_lib.or(self.ort_dylib_path).filter(|path| !path.as_os_str().is_empty());
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        EngineOptions { engine: self.engine, library, threads }
    }
}

/// An engine by name, or the best one that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// ONNX Runtime if there is one, else tract.
    Auto,
    /// ONNX Runtime or an error.
    Ort,
    /// tract, which is compiled in.
    Tract,
}

/// The flags of the training backend.
#[derive(Debug, Clone, Args)]
pub struct KernelArgs {
    /// Where networks are trained: `auto` takes a graphics processor if this graft was built for one and there is one, else the
    /// processor, and says which and why; `candle-cpu` is the processor by a device's kernels, slower and there to be compared
    #[arg(
        long,
        env = "GRAFT_DEVICE",
        global = true,
        value_name = "auto|cpu|cuda|cuda:N|metal|candle-cpu",
        default_value_t
    )]
    device: DeviceChoice,

    /// What trains on the processor: `auto` takes oneDNN if its library is found, else graft's own kernels, and says which and
    /// why
    #[arg(long, env = "GRAFT_KERNELS", global = true, value_enum, default_value_t = KernelChoice::Auto)]
    kernels: KernelChoice,

    /// The precision of activations between layers in training; weights are f32 in any case
    #[arg(long, env = "GRAFT_PRECISION", global = true, value_enum, default_value_t = Precision::F32)]
    precision: Precision,

    /// The oneDNN library file, version 3 [default: searched for]
    #[arg(long, env = "GRAFT_ONEDNN", global = true, value_name = "FILE")]
    onednn_lib: Option<PathBuf>,
}

/// The training backend that the user wants, as plain values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelOptions {
    /// Where networks are trained.
    pub device: DeviceChoice,
    /// What trains on the processor, or the best one that there is.
    pub kernels: KernelChoice,
    /// The precision of activations.
    pub precision: Precision,
    /// The oneDNN library that the user named.
    pub library: Option<PathBuf>,
}

impl KernelArgs {
    /// The flags as plain values.
    #[must_use]
    pub fn resolve(self) -> KernelOptions {
        let library = self.onednn_lib.filter(|path| !path.as_os_str().is_empty());
        KernelOptions { device: self.device, kernels: self.kernels, precision: self.precision, library }
    }
}

impl KernelOptions {
    /// The same options as arguments of another graft process.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--device".into(), self.device.to_string().into()];
        arguments.extend(["--kernels".into(), self.kernels.name().into()]);
        arguments.extend(["--precision".into(), self.precision.name().into()]);
        arguments.extend(self.library.iter().flat_map(|path| ["--onednn-lib".into(), path.into()]));
        arguments
    }
}

/// A training backend by name, or the best one that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum KernelChoice {
    /// oneDNN if there is one, else graft's own kernels.
    #[default]
    Auto,
    /// graft's own kernels, which are compiled in.
    Rust,
    /// oneDNN or an error.
    Onednn,
}

impl KernelChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rust => "rust",
            Self::Onednn => "onednn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_told_the_same() {
        let library = Some("libdnnl.so.3".into());
        let options = KernelOptions {
            device: DeviceChoice::Cpu,
            kernels: KernelChoice::Onednn,
            precision: Precision::Bf16,
            library,
        };
        let expected =
            ["--device", "cpu", "--kernels", "onednn", "--precision", "bf16", "--onednn-lib", "libdnnl.so.3"];
        assert_eq!(options.arguments(), expected);
    }

    #[test]
    fn names_are_those_of_the_flags() {
        for choice in KernelChoice::value_variants() {
            assert_eq!(choice.to_possible_value().unwrap().get_name(), choice.name());
        }
    }
}
