//! The libraries that are loaded at run time: which engine runs models, which kernels train, and how to get a library.

mod install;
mod kernels;
mod search;
mod select;

pub use install::{InstallError, Library, install};
pub use kernels::{KernelError, SelectedKernels, kernels};
pub use search::candidates;
pub use select::{SelectError, SelectedEngine, select};

/// What computes: models that are run, and training.
#[derive(Debug, Clone)]
pub struct Backends {
    /// What runs models.
    pub engine: SelectedEngine,
    /// What trains.
    pub kernels: SelectedKernels,
}
