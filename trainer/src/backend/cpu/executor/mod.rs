//! The executor on the CPU.

mod tape;
mod update;

use models::ops::Shape;
use models::preprocess::ImageBatch;
use models::{Graph, Params, Tensor};

use crate::backend::cpu::array::Pool;
use crate::backend::cpu::gradients::Gradients;
use crate::backend::cpu::layout::MemoryOrder;
use crate::backend::cpu::plan::{Gradient, Plan, Wants};
use crate::backend::weights::{Parameter, Weights};
use crate::backend::{ComputeBackend, ExecError};
use tape::Tape;
use update::Update;

pub use tape::StepTime;

/// A network with its weights, gradients and optimizer, computed on the CPU.
pub struct CpuExecutor {
    pub(super) plan: Plan,
    pub(super) weights: Weights,
    pub(super) trained: Vec<bool>,
    pub(super) pool: Pool,
    pub(super) input: Shape,
    pub(super) output: Shape,
    /// The node whose output is the network's.
    pub(super) last: usize,
    update: Option<Update>,
    /// Of the last forward pass in training, until its backward pass.
    tape: Option<Tape>,
    /// Sums since the last update.
    pub(super) gradients: Option<Gradients>,
}

impl CpuExecutor {
    /// Trains every trainable parameter.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first parameter that is missing or misshapen.
    pub fn new(graph: &Graph, params: &Params) -> Result<Self, ExecError> {
        Self::with_backend(graph, params, |_| true, &ComputeBackend::Rust)
    }

    /// Trains the trainable ones of these parameters. No gradients are computed before the first of them, and nothing is
    /// saved there. Frozen batch normalization uses its running statistics.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first parameter that is missing or misshapen.
    pub fn with_backend(
        graph: &Graph,
        params: &Params,
        trains: impl Fn(&Parameter) -> bool,
        kernels: &ComputeBackend,
    ) -> Result<Self, ExecError> {
        Self::with_gradient(graph, params, trains, &Wants { input: Gradient::Unwanted, kernels })
    }

    pub(in crate::backend::cpu) fn with_gradient(
        graph: &Graph,
        params: &Params,
        trains: impl Fn(&Parameter) -> bool,
        wants: &Wants<'_>,
    ) -> Result<Self, ExecError> {
        let weights = Weights::new(graph, params)?;
        let trained: Vec<bool> = weights.parameters().iter().map(|p| p.trainable && trains(p)).collect();
        Ok(Self {
            plan: Plan::new(graph, &weights, &trained, wants),
            weights,
            trained,
            pool: Pool::default(),
            input: graph.shape(graph.input()).clone(),
            output: graph.shape(graph.output()).clone(),
            last: graph.output().index(),
            update: None,
            tape: None,
            gradients: None,
        })
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

    /// The output for a batch of prepared images, by the running statistics and without dropout.
    ///
    /// # Errors
    /// [`ExecError`] when the images are not of the size that the graph takes.
    pub fn infer_batch(&self, batch: &ImageBatch) -> Result<Tensor, ExecError> {
        self.outputs_of(batch.data(), &batch.shape())
    }

    /// The output for any input `[n, …]` of the graph's input shape, by the running statistics and without dropout.
    ///
    /// # Errors
    /// [`ExecError::Input`] for another shape.
    pub fn infer_nchw(&self, input: &Tensor) -> Result<Tensor, ExecError> {
        self.outputs_of(input.data(), input.shape())
    }

    fn outputs_of(&self, numbers: &[f32], shape: &[usize]) -> Result<Tensor, ExecError> {
        if shape.get(1..) != Some(self.input.dims()) || shape[0] == 0 {
            return Err(ExecError::Input { expected: self.input.to_string(), found: shape.to_vec() });
        }
        let x = MemoryOrder::Memory.of(&self.input, numbers);
        let y = self.evaluate(self.pool.copy(&x)?, shape[0])?;
        let y = MemoryOrder::Graph.of(&self.output, y.numbers());
        let dims: Vec<usize> = shape[..1].iter().chain(self.output.dims()).copied().collect();
        Ok(Tensor::new(dims, y))
    }

    /// The output for images `[n, h, w, c]`, by the running statistics and without dropout; `[n, classes]` for a classifier.
    ///
    /// # Errors
    /// [`ExecError::Input`] when these are not whole images of the size that the graph takes.
    pub fn infer_nhwc(&self, images: &[f32]) -> Result<Vec<f32>, ExecError> {
        let batch = self.images(images)?;
        Ok(self.evaluate(self.pool.copy(images)?, batch)?.numbers().to_vec())
    }

    /// The number of images in this array.
    pub(super) fn images(&self, numbers: &[f32]) -> Result<usize, ExecError> {
        let count = numbers.len() / self.input.len();
        if count == 0 || count * self.input.len() != numbers.len() {
            return Err(ExecError::Input { expected: self.input.to_string(), found: vec![numbers.len()] });
        }
        Ok(count)
    }
}
