//! ONNX Runtime's library: where it may be, which engine is taken, how to get one.

mod install;
mod search;
mod select;

pub use install::{InstallError, VERSION, install};
pub use search::candidates;
pub use select::{SelectError, SelectedEngine, select};
