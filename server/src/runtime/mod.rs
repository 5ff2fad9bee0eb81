//! The native libraries: finding, loading and installing them, and the choice of the engine that runs models and of the
//! backend that trains, and of what computes inside the engine.

mod install;
mod kernels;
mod library;
mod provider;
mod search;
mod select;

pub use install::{InstallError, install};
pub use kernels::{KernelError, SelectedKernels, kernels, onednn};
pub use library::{Library, LibrarySpec};
pub use provider::{Missing, ProviderError, SelectedProviders, find_provider, providers};
pub use search::Candidate;
pub use select::{SelectError, SelectedEngine, select};

/// The engine and the training backend of this process.
#[derive(Debug, Clone)]
pub struct Backends {
    /// Runs models.
    pub engine: SelectedEngine,
    /// Trains networks.
    pub kernels: SelectedKernels,
}
