//! What runs an ONNX file.
//!
//! Two engines stand behind one trait. tract is compiled in, so a fresh checkout runs models with no native library.
//! ONNX Runtime is about twice as fast and is loaded at run time from a library that the user has; see [`ort::load`].
//! Which of them runs a model is always the caller's decision, never a silent fallback.

pub mod library;
pub mod ort;
mod tract;

use std::fmt;
use std::num::NonZeroUsize;

use models::Tensor;
use models::preprocess::ImageBatch;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The engines that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// ONNX Runtime, loaded at run time.
    Ort,
    /// tract, compiled in.
    Tract,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EngineKind::Ort => "ort",
            EngineKind::Tract => "tract",
        })
    }
}

/// What computes inside ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// ONNX Runtime's own kernels.
    #[default]
    Cpu,
    /// OpenVINO, on the processor and in `f32`; see [`ort::load_provider`].
    OpenVino,
    /// CUDA, on a graphics processor of NVIDIA's and in `f32`.
    Cuda,
    /// WebGPU, on any graphics processor that Vulkan or Metal knows.
    WebGpu,
}

impl Provider {
    /// Those that are libraries of their own, in the order in which one is taken to be measured: what computes on a graphics
    /// processor is likely to be faster.
    pub const PLUGINS: [Self; 3] = [Self::Cuda, Self::WebGpu, Self::OpenVino];

    /// What its makers call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "ONNX Runtime's own kernels",
            Self::OpenVino => "OpenVINO",
            Self::Cuda => "CUDA",
            Self::WebGpu => "WebGPU",
        }
    }

    /// Whether it computes on the processor, where each session takes threads.
    #[must_use]
    pub fn is_on_processor(self) -> bool {
        matches!(self, Self::Cpu | Self::OpenVino)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Provider::Cpu => "cpu",
            Provider::OpenVino => "openvino",
            Provider::Cuda => "cuda",
            Provider::WebGpu => "webgpu",
        })
    }
}

/// Which engine runs models, what computes inside it, and how many threads a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSpec {
    /// The engine.
    pub kind: EngineKind,
    /// What computes inside ONNX Runtime; another engine has no other kernels than its own.
    pub provider: Provider,
    /// Threads for one run; take them from the process's CPU quota, not from the host.
    pub threads: NonZeroUsize,
}

impl EngineSpec {
    /// An engine in which nothing but its own kernels computes.
    #[must_use]
    pub fn plain(kind: EngineKind, threads: NonZeroUsize) -> Self {
        Self { kind, provider: Provider::Cpu, threads }
    }

    /// What computes inside ONNX Runtime; `None` for an engine that has no choice.
    #[must_use]
    pub fn chosen_provider(self) -> Option<Provider> {
        (self.kind == EngineKind::Ort).then_some(self.provider)
    }

    /// Opens a model. A provider runs it as a whole or refuses it.
    ///
    /// # Errors
    /// As [`open`] and [`open_in`]; what a provider refuses is [`EngineError::Provider`].
    pub fn open(self, file: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        let Self { kind, provider, threads } = self;
        match (kind, provider) {
            (_, Provider::Cpu) => open(kind, file, threads),
            (EngineKind::Ort, _) => open_in(provider, file, threads).map_err(|error| match error {
                EngineError::Open { reason, .. } => EngineError::Provider { provider, reason },
                error => error,
            }),
            (EngineKind::Tract, _) => Err(EngineError::NoProvider(provider)),
        }
    }
}

/// Runs one model. An engine belongs to one thread and is never behind a lock: ONNX Runtime's sessions want `&mut`.
pub trait Engine: Send {
    /// Which engine this is.
    fn kind(&self) -> EngineKind;

    /// Runs a batch `[n, 3, h, w]` of pixels and returns every output of the model, `n` first in each shape.
    ///
    /// # Errors
    /// [`EngineError::Run`] when the batch is not what the model takes.
    fn run(&mut self, batch: &ImageBatch) -> Result<Outputs, EngineError>;

    /// Asks the next run to give back, when it ends, the working memory that earlier runs have grown to. Later runs take
    /// what they need anew. An engine that holds none does nothing.
    fn release_memory(&mut self) {}
}

/// The outputs of a model by name, in the file's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs(Vec<(String, Tensor)>);

impl Outputs {
    #[cfg(test)]
    pub(crate) fn new(outputs: Vec<(String, Tensor)>) -> Self {
        Self(outputs)
    }

    /// The output of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor)
    }

    /// The first output: logits of a classifier, features of a backbone.
    ///
    /// # Errors
    /// [`EngineError::Run`] for a model without outputs.
    pub fn first(&self) -> Result<&Tensor, EngineError> {
        self.0.first().map(|(_, tensor)| tensor).ok_or_else(|| EngineError::run("the model has no output"))
    }
}

/// Why a model does not open or run.
#[derive(Debug, Error)]
pub enum EngineError {
    /// ONNX Runtime was asked for before its library was loaded.
    #[error("ONNX Runtime is not loaded; run `graft runtime install`, or choose the engine tract")]
    NotLoaded,
    /// A provider was asked for before its library was loaded, or in another engine than ONNX Runtime.
    #[error("{title} is not loaded; run `graft runtime install {0}`, or choose the provider cpu", title = .0.title())]
    NoProvider(Provider),
    /// The engine refuses the file.
    #[error("{engine} cannot open the model: {reason}")]
    Open {
        /// The engine that was asked for.
        engine: EngineKind,
        /// What it said.
        reason: String,
    },
    /// A provider refuses the file, or a part of it.
    #[error("{} does not run the model as a whole: {reason}; use --provider cpu", provider.title())]
    Provider {
        /// The provider that was asked for.
        provider: Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The engine refuses the batch.
    #[error("the model does not run: {0}")]
    Run(String),
}

impl EngineError {
    fn run(reason: impl fmt::Display) -> Self {
        Self::Run(reason.to_string())
    }

    fn open(engine: EngineKind, reason: impl fmt::Display) -> Self {
        Self::Open { engine, reason: reason.to_string() }
    }
}

/// Opens a model from the bytes of its file.
///
/// `threads` is how many threads one run may use; take it from the process's CPU quota, not from the host. Sessions of
/// ONNX Runtime share the threads that [`ort::load`] made, if they are as many.
///
/// # Errors
/// [`EngineError::NotLoaded`] for ONNX Runtime without a library, [`EngineError::Open`] for a file that the engine
/// refuses.
pub fn open(kind: EngineKind, file: &[u8], threads: NonZeroUsize) -> Result<Box<dyn Engine>, EngineError> {
    Ok(match kind {
        EngineKind::Ort => Box::new(ort::OrtEngine::open(file, threads)?),
        EngineKind::Tract => Box::new(tract::TractEngine::open(file, threads)?),
    })
}

/// Opens a model in ONNX Runtime with a provider in it, which runs the whole model or refuses it.
///
/// # Errors
/// As [`open`], and [`EngineError::NoProvider`] before [`ort::load_provider`].
pub fn open_in(provider: Provider, file: &[u8], threads: NonZeroUsize) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(ort::OrtEngine::open_in(provider, file, threads)?))
}

/// Engines of one model, for images that come alone and for many at once.
///
/// A second thread for an image costs 16 to 28 % more processor time (measured on two cores: SqueezeNet, ResNet-50, VGG-16),
/// so a machine with work for all of its cores gives each image one of them.
pub struct EngineSet {
    /// With all threads for one run.
    pub wide: Box<dyn Engine>,
    /// With one thread each, as many as there are threads; they may run at the same time. None where `wide` has one thread,
    /// or where there is an `obstacle`.
    pub narrow: Vec<Box<dyn Engine>>,
    /// Why the weights cannot be shared, so that there is no narrow engine.
    pub obstacle: Option<String>,
}

impl EngineSet {
    /// One engine for all images.
    #[must_use]
    pub fn single(wide: Box<dyn Engine>) -> Self {
        Self { wide, narrow: vec![], obstacle: None }
    }
}

/// Opens a model for a server. The engines share what can be shared: the weights in ONNX Runtime, everything in tract.
///
/// # Errors
/// As [`open`].
pub fn open_set(kind: EngineKind, file: &[u8], threads: NonZeroUsize) -> Result<EngineSet, EngineError> {
    match kind {
        _ if threads == NonZeroUsize::MIN => Ok(EngineSet::single(open(kind, file, threads)?)),
        EngineKind::Ort => ort::OrtEngine::open_set(file, threads),
        EngineKind::Tract => tract::TractEngine::open_set(file, threads),
    }
}

/// Opens a model for a server with a provider in ONNX Runtime. On the processor every engine has weights of its own; a graphics
/// processor has one engine, which is all of it.
///
/// # Errors
/// As [`open_in`].
pub fn open_set_in(provider: Provider, file: &[u8], threads: NonZeroUsize) -> Result<EngineSet, EngineError> {
    let wide = open_in(provider, file, threads)?;
    let narrow = if threads == NonZeroUsize::MIN || !provider.is_on_processor() { 0 } else { threads.get() };
    let narrow = (0..narrow).map(|_| open_in(provider, file, NonZeroUsize::MIN)).collect::<Result<_, _>>()?;
    Ok(EngineSet { narrow, ..EngineSet::single(wide) })
}

/// The engines that can be opened in this process.
#[must_use]
pub fn available() -> Vec<EngineKind> {
    ort::loaded().map(|_| EngineKind::Ort).into_iter().chain([EngineKind::Tract]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_providers_refuses_one_instead_of_doing_without() {
        let spec = EngineSpec::plain(EngineKind::Tract, NonZeroUsize::MIN);
        assert_eq!(spec.chosen_provider(), None);
        let Err(error) = EngineSpec { provider: Provider::Cuda, ..spec }.open(b"") else { panic!("it opened") };
        assert_eq!(
            error.to_string(),
            "CUDA is not loaded; run `graft runtime install cuda`, or choose the provider cpu"
        );
    }
}
