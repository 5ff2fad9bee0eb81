//! The CPU backend: a network as a list of steps, each with a layer that computes it forwards and backwards.
//!
//! A step is a node, or a few that are cheaper together, such as batch normalization with the sum and the ReLU behind it.
//! Both passes are loops over the steps, so nothing recurses, and the backward pass frees every array once it has passed the
//! step that made it. Images are `[n, h, w, c]`. In `bf16` every image between the network's input and output has that type;
//! layers that know only `f32` have their arrays converted around them.

mod array;
mod executor;
mod gradients;
pub(crate) mod kernels;
mod layer;
mod layers;
pub(super) mod layout;
mod plan;
#[cfg(test)]
mod tests;

pub use executor::CpuExecutor;
pub use executor::StepTime;
