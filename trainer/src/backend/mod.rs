//! Running a graph: the forward pass, and the gradients of what is trained.
//!
//! The network is a list of nodes, so both passes are loops over a list of steps, and nothing recurses. A step is a node, or
//! a few that are cheaper together, such as batch normalisation with the sum and the ReLU behind it. What a step does is its
//! layer's business; layers are made in `layers`, a file for each family of operators. In the backward pass every array is
//! freed when the step that made it has been passed.
//!
//! Convolutions are Rust's or oneDNN's, as [`Kernels`] say. In `bf16` every image between the network's input and output is
//! kept in that format; layers that know only `f32` have their arrays converted around them.
//!
//! A second device needs layers of its own beside `layers` and another kind of `array`; plan, passes and the training loop
//! know neither.

mod array;
mod choice;
mod gradients;
pub(crate) mod kernels;
mod layer;
mod layers;
mod layout;
pub mod onednn;
mod pass;
mod plan;
#[cfg(test)]
mod tests;
mod weights;

use models::ops::Shape;
use models::params::ParamsError;
use models::preprocess::ImageBatch;
use models::{Graph, Params, Tensor};
use thiserror::Error;

use array::{Array, Pool};
pub use choice::{Kernels, Precision};
pub use gradients::Gradients;
pub use pass::{Pass, StepTime};
use plan::{Gradient, Plan, Wants};
pub use weights::{Parameter, Weights};

use crate::backend::kernels::strided::{Copy, View};
pub use onednn::{OneDnn, OneDnnError};

/// Why a network does not run.
#[derive(Debug, Error)]
pub enum ExecError {
    /// A parameter is missing or has the wrong shape.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The input is not what the graph takes.
    #[error("the network takes {expected}, is given {found:?}")]
    Input {
        /// What the graph's input node says.
        expected: String,
        /// The tensor's shape, batch first.
        found: Vec<usize>,
    },
    /// The library of convolutions failed.
    #[error(transparent)]
    OneDnn(#[from] OneDnnError),
}

/// A network, ready to run and to be trained.
pub struct Executor {
    plan: Plan,
    kernels: Kernels,
    weights: Weights,
    trained: Vec<bool>,
    pool: Pool,
    input: Shape,
    output: Shape,
    /// The node whose output is the network's.
    last: usize,
}

impl Executor {
    /// A network of which everything that can be trained is.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first parameter that is missing or misshapen.
    pub fn new(graph: &Graph, params: &Params) -> Result<Self, ExecError> {
        Self::training(graph, params, |_| true)
    }

    /// A network of which these parameters are trained, as far as they can be. Nothing is computed or kept for the gradients
    /// of what comes before the first of them. Batch normalisation that is not trained stays as in evaluation.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first parameter that is missing or misshapen.
    pub fn training(graph: &Graph, params: &Params, trains: impl Fn(&Parameter) -> bool) -> Result<Self, ExecError> {
        Self::with_kernels(graph, params, trains, &Kernels::Rust)
    }

    /// The same by other kernels.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first parameter that is missing or misshapen.
    pub fn with_kernels(
        graph: &Graph,
        params: &Params,
        trains: impl Fn(&Parameter) -> bool,
        kernels: &Kernels,
    ) -> Result<Self, ExecError> {
        Self::with_gradient(graph, params, trains, &Wants { input: Gradient::Unwanted, kernels })
    }

    fn with_gradient(
        graph: &Graph,
        params: &Params,
        trains: impl Fn(&Parameter) -> bool,
        wants: &Wants<'_>,
    ) -> Result<Self, ExecError> {
        let weights = Weights::new(graph, params)?;
        let trained: Vec<bool> = weights.parameters().iter().map(|p| p.trainable && trains(p)).collect();
        Ok(Self {
            plan: Plan::new(graph, &weights, &trained, wants),
            kernels: wants.kernels.clone(),
            weights,
            trained,
            pool: Pool::default(),
            input: graph.shape(graph.input()).clone(),
            output: graph.shape(graph.output()).clone(),
            last: graph.output().index(),
        })
    }

    /// The parameters.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The parameters, to be changed.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }

    /// Numbers of an input image.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.input.len()
    }

    /// Numbers of the output for an image; for a classifier, its classes.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.output.len()
    }

    /// Which of the parameters are trained, in their order.
    #[must_use]
    pub fn trained(&self) -> &[bool] {
        &self.trained
    }

    /// The output for a batch of prepared images, by the running statistics and without dropout.
    ///
    /// # Errors
    /// [`ExecError`] when the images are not of the size that the graph takes.
    pub fn forward_batch(&self, batch: &ImageBatch) -> Result<Tensor, ExecError> {
        self.outputs_of(batch.data(), &batch.shape())
    }

    /// The output for any input `[n, …]` of the graph's input shape, by the running statistics and without dropout.
    ///
    /// # Errors
    /// [`ExecError::Input`] for another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, ExecError> {
        self.outputs_of(input.data(), input.shape())
    }

    fn outputs_of(&self, numbers: &[f32], shape: &[usize]) -> Result<Tensor, ExecError> {
        if shape.get(1..) != Some(self.input.dims()) || shape[0] == 0 {
            return Err(ExecError::Input { expected: self.input.to_string(), found: shape.to_vec() });
        }
        let x = Order::Memory.of(&self.input, numbers);
        let y = self.evaluate(self.pool.copy(&x), shape[0])?;
        let y = Order::Graph.of(&self.output, y.numbers());
        let dims: Vec<usize> = shape[..1].iter().chain(self.output.dims()).copied().collect();
        Ok(Tensor::new(dims, y))
    }

    /// The output for images `[n, h, w, c]`, by the running statistics and without dropout; `[n, classes]` for a classifier.
    ///
    /// # Errors
    /// [`ExecError::Input`] when these are not whole images of the size that the graph takes.
    pub fn predict(&self, images: &[f32]) -> Result<Vec<f32>, ExecError> {
        let batch = self.images(images)?;
        Ok(self.evaluate(self.pool.copy(images), batch)?.numbers().to_vec())
    }

    /// How many images these numbers are.
    fn images(&self, numbers: &[f32]) -> Result<usize, ExecError> {
        let count = numbers.len() / self.input.len();
        if count == 0 || count * self.input.len() != numbers.len() {
            return Err(ExecError::Input { expected: self.input.to_string(), found: vec![numbers.len()] });
        }
        Ok(count)
    }
}

/// The two orders of a tensor's numbers.
#[derive(Clone, Copy)]
enum Order {
    /// The graph's: channels first.
    Graph,
    /// The layers': channels last.
    Memory,
}

impl Order {
    /// The numbers of a batch in this order, from the other.
    fn of(self, shape: &Shape, numbers: &[f32]) -> Vec<f32> {
        if layout::is_row_major(shape) {
            return numbers.to_vec();
        }
        let view = |strides| View { start: 0, strides };
        let copy = Copy::new(shape.dims(), &view(layout::row_major(shape)), &view(layout::strides(shape)));
        let copy = match self {
            Order::Memory => copy,
            Order::Graph => copy.reversed(),
        };
        let mut ordered = vec![0.0; numbers.len()];
        let images = ordered.chunks_exact_mut(shape.len()).zip(numbers.chunks_exact(shape.len()));
        images.for_each(|(to, from)| copy.run(from, to));
        ordered
    }
}
