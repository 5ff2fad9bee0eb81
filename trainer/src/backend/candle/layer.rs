//! What a step of the computation does on a device, forward and backward.

use candle_core::{Result, Tensor};

use crate::backend::mode::Mode;
use crate::backend::weights::Weights;

/// One step, without what is fused behind its first operator.
pub(super) trait Layer: Send + Sync {
    /// The output for these inputs.
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward>;

    /// From the gradient of the output to those of the inputs and of the parameters.
    fn backward(&self, pass: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()>;
}

/// What does not change during a pass.
pub(super) struct PassContext<'a> {
    pub(super) weights: &'a Weights<Tensor>,
    pub(super) mode: Mode,
}

/// What a forward step makes.
pub(super) struct Forward {
    pub(super) output: Tensor,
    /// What the backward step reads.
    pub(super) saved: Vec<Tensor>,
    /// New running statistics, by the ids of their parameters.
    pub(super) statistics: Vec<(usize, Tensor)>,
}

/// What a backward step is given, and where it puts what it finds.
pub(super) struct Backward<'a> {
    /// The gradient of the output.
    pub(super) dy: Tensor,
    pub(super) saved: Vec<Tensor>,
    /// Which inputs need a gradient.
    pub(super) needs_gradient: &'a [bool],
    /// The gradients of the inputs.
    pub(super) inputs: Vec<Option<Tensor>>,
    pub(super) gradients: &'a mut Gradients,
}

/// The gradients of the parameters, in the order and layout of the weights.
#[derive(Clone)]
pub(super) struct Gradients {
    of: Vec<Option<Tensor>>,
    trained: Vec<bool>,
}

impl PassContext<'_> {
    pub(super) fn weight(&self, id: usize) -> &Tensor {
        &self.weights.stored()[id]
    }
}

impl From<Tensor> for Forward {
    fn from(output: Tensor) -> Self {
        Self { output, saved: vec![], statistics: vec![] }
    }
}

impl Forward {
    /// With tensors for the backward step.
    pub(super) fn saving(self, saved: Vec<Tensor>) -> Self {
        Self { saved, ..self }
    }
}

impl Backward<'_> {
    /// Adds to the gradient of an input, if that is wanted.
    pub(super) fn accumulate(&mut self, input: usize, dx: Tensor) -> Result<()> {
        if self.needs_gradient[input] {
            add_to(&mut self.inputs[input], dx)?;
        }
        Ok(())
    }
}

impl Gradients {
    pub(super) fn new(trained: &[bool]) -> Self {
        Self { of: vec![None; trained.len()], trained: trained.to_vec() }
    }

    pub(super) fn wants(&self, id: usize) -> bool {
        self.trained[id]
    }

    /// Adds to the gradient of a parameter, which several nodes may share.
    pub(super) fn put(&mut self, id: usize, gradient: Tensor) -> Result<()> {
        if self.trained[id] {
            add_to(&mut self.of[id], gradient)?;
        }
        Ok(())
    }

    /// Adds another step's, as accumulation over several batches does.
    pub(super) fn add(&mut self, other: Self) -> Result<()> {
        let pairs = self.of.iter_mut().zip(other.of);
        pairs.filter_map(|(sum, other)| Some((sum, other?))).try_for_each(|(sum, other)| add_to(sum, other))
    }

    /// The gradient of a parameter; `None` for one that has none yet.
    pub(super) fn get(&self, id: usize) -> Option<&Tensor> {
        self.of[id].as_ref()
    }
}

/// Adds to a sum that may have no terms yet.
pub(super) fn add_to(sum: &mut Option<Tensor>, term: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        None => term,
        Some(sum) => (sum + term)?,
    });
    Ok(())
}
