//! What a step of the computation does, forward and backward.

use half::bf16;

use super::array::{Array, Pool};
use super::gradients::Gradients;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::DType;
use crate::backend::cpu::kernels::elementwise::update;
use crate::backend::cpu::kernels::norm::Moments;
use crate::backend::mode::Mode;
use crate::backend::weights::Weights;

/// One step: a node of the graph, or a few that are computed as one. There is one kind for each family of operators and
/// device; the loops over them know neither.
pub(super) trait Layer: Send + Sync {
    /// The output for these inputs.
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError>;

    /// What [`Layer::backward`] reads of the forward pass.
    fn reads(&self) -> Reads;

    /// From the gradient of the output to those of the inputs and of the parameters.
    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError>;

    /// The parameters that the forward pass itself changes, with their new numbers: running statistics.
    fn statistics(&self, _: &PassContext<'_>, _: &SavedForBackward) -> Vec<(usize, Vec<f32>)> {
        Vec::new()
    }
}

/// What does not change during a pass.
pub(super) struct PassContext<'a> {
    pub(super) weights: &'a Weights,
    pub(super) pool: &'a Pool,
    /// How many images each array holds.
    pub(super) batch: usize,
    pub(super) mode: Mode,
}

/// What the forward pass makes.
pub(super) struct LayerOutput {
    pub(super) output: Array,
    pub(super) saved: SavedForBackward,
}

/// What else the backward pass needs.
pub(super) enum SavedForBackward {
    Nothing,
    /// Of the batch.
    Moments(Moments),
}

impl From<Array> for LayerOutput {
    fn from(output: Array) -> Self {
        Self { output, saved: SavedForBackward::Nothing }
    }
}

/// Which arrays the forward pass saves for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) inputs: bool,
    pub(super) output: bool,
}

impl Reads {
    pub(super) const NOTHING: Self = Self { inputs: false, output: false };
    pub(super) const INPUTS: Self = Self { inputs: true, output: false };
    pub(super) const OUTPUT: Self = Self { inputs: false, output: true };
    pub(super) const BOTH: Self = Self { inputs: true, output: true };
}

/// What a backward step is given, and where it puts what it finds.
pub(super) struct BackwardContext<'a> {
    /// The gradient of the output.
    pub(super) dy: Array,
    /// Empty arrays stand for those that the forward pass did not save.
    pub(super) inputs: Vec<&'a Array>,
    pub(super) output: &'a Array,
    pub(super) saved: &'a SavedForBackward,
    /// The sums of the gradients of the inputs that later steps have added so far.
    pub(super) input_gradients: Vec<Option<Array>>,
    /// Which inputs need a gradient.
    pub(super) needs_gradient: &'a [bool],
    pub(super) gradients: &'a mut Gradients,
}

impl BackwardContext<'_> {
    /// Adds to the gradient of an input.
    pub(super) fn accumulate(&mut self, input: usize, dx: Array) -> Result<(), ExecError> {
        if !self.needs_gradient[input] {
            return Ok(());
        }
        self.input_gradients[input] = Some(match self.input_gradients[input].take() {
            None => dx,
            Some(sum) => add(sum, dx)?,
        });
        Ok(())
    }
}

/// The sum of two arrays, in one that nobody else has if there is one.
pub(super) fn add(a: Array, b: Array) -> Result<Array, ExecError> {
    let (mut sum, other) = if a.is_shared() { (b, a) } else { (a, b) };
    match sum.dtype() {
        DType::F32 => update(sum.as_mut_slice::<f32>()?, other.as_slice(), |a, b| a + b),
        DType::Bf16 => update(sum.as_mut_slice::<bf16>()?, other.as_slice(), |a, b| a + b),
    }
    Ok(sum)
}
