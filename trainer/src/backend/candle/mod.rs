//! The device backend: a network on candle's tensors, which live on a CUDA or Metal device, or in memory for tests.
//!
//! It computes the same steps as the CPU backend, each with a layer that computes it forwards and backwards. candle's own
//! gradients are not used: those of its pools are wrong, and those of its convolutions fail on odd sizes. Tensors are
//! contiguous and channels last, `[n, h, w, c]`, so that a pixel is a row: windows are rows gathered by an index that is
//! computed once, and what is left of a convolution's gradients are products of matrices. All of it is made of operations
//! that candle has on every device.

#[cfg(feature = "cuda")]
mod cudnn;
mod device;
mod executor;
mod gather;
mod layer;
mod layers;
mod optimizer;
mod plan;
mod products;
mod rule;
mod tensors;
#[cfg(test)]
mod tests;

pub use device::CandleDevice;
pub(super) use executor::CandleExecutor;
