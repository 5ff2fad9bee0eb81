//! The libraries that are loaded at run time: where ONNX Runtime's may be, which engine is taken, how to get one, and oneDNN's.

mod install;
mod search;
mod select;

pub use install::{InstallError, Library, install};
pub use search::candidates;
pub use select::{SelectError, SelectedEngine, select};
