//! From the bytes of an image file to the numbers a network reads.
//!
//! This is the one place in graft that touches pixels on their way to a network, so training and serving cannot
//! see different ones: [`Preprocess::decode`] (upright 8-bit RGB, size limits read from the header first), then
//! [`Preprocess::fit`] (resize and centre crop, by torchvision's rules), then channels first as `f32` in `0..=255`.
//! [`Preprocess::apply`] does all three. Training replaces `fit` by augmentation, built from [`resample`], and
//! nothing else.
//!
//! A client that has prepared its pixels itself sends them as they are: [`Preprocess::accept`] checks what `apply` would
//! have guaranteed.
//!
//! The parameters are data, [`Preprocess`], and travel with the weights. Mean and standard deviation are among them
//! but are applied *inside* the exported network, where every engine computes them alike; resizing stays here,
//! because no ONNX operator resizes as PIL does.

mod batch;
mod card;
mod decode;
mod decoding;
mod error;
mod foreign;
mod format;
mod geometry;
mod gif;
mod info;
mod jpeg;
mod limits;
mod lines;
mod opened;
mod orientation;
mod overlay;
mod parameters;
mod pixels;
mod png;
mod preparation;
mod preset;
mod resample;
mod rules;
mod simple;
mod source;
mod tensor;
mod thumbnail;
mod traits;

pub use batch::{ImageBatch, PreparedImage};
pub use card::test_card;
pub use decode::{decode, probe, traits};
pub use decoding::Decoding;
pub use error::{ImageError, PreprocessError};
pub use format::ImageFormat;
pub use info::ImageInfo;
pub use limits::Limits;
pub use overlay::HeatMap;
pub use parameters::{Crop, Filter, Preprocess, Resize};
pub use pixels::RgbImage;
pub use preset::Preset;
pub use resample::{Region, resample};
pub use tensor::TensorError;
pub use thumbnail::thumbnail;
pub use traits::{ColorMode, ImageTraits};
