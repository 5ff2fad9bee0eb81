//! oneDNN, where it is found and wanted: convolution with the matrix units of newer processors, in `f32` and `bf16`.
//!
//! The library is loaded at run time. Nothing is linked, and no build fetches it.

mod convolution;
mod functions;
mod library;
mod primitive;

pub(crate) use convolution::{ConvGradients, ConvParams, ConvSpec, Convolution};
pub use library::{OneDnn, OneDnnError};
