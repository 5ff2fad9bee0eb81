//! The forward and the backward pass over the steps of the plan.

use candle_core::{Result, Tensor};

use super::CandleExecutor;
use crate::backend::candle::layer::{Backward, Forward, Gradients, PassContext, add_to};
use crate::backend::candle::tensors::{relu, relu_backward};
use crate::backend::mode::Mode;

/// A forward pass in training, with the tensors that its backward pass reads.
pub(super) struct Tape {
    mode: Mode,
    /// By step.
    kept: Vec<StepTensors>,
    pub(super) output: Tensor,
    /// New running statistics, by the ids of their parameters.
    pub(super) statistics: Vec<(usize, Tensor)>,
}

/// What a step keeps.
#[derive(Default)]
struct StepTensors {
    saved: Vec<Tensor>,
    /// The output, where it ends in a ReLU.
    output: Option<Tensor>,
}

impl CandleExecutor {
    /// The output in evaluation.
    pub(super) fn evaluate(&self, x: Tensor) -> Result<Tensor> {
        Ok(self.pass(x, Mode::Evaluation)?.output)
    }

    pub(super) fn pass(&self, x: Tensor, mode: Mode) -> Result<Tape> {
        let pass = PassContext { weights: &self.weights, mode };
        let mut pending = self.plan.uses.clone();
        let mut values: Vec<Option<Tensor>> = vec![None; pending.len()];
        values[0] = Some(x);
        let (mut kept, mut statistics) = (Vec::with_capacity(self.plan.steps.len()), Vec::new());
        for step in &self.plan.steps {
            let inputs: Vec<&Tensor> = step.inputs.iter().filter_map(|&input| values[input].as_ref()).collect();
            let Forward { mut output, saved, statistics: fresh } = step.layer.forward(&pass, &inputs[..step.own()])?;
            statistics.extend(fresh);
            if step.epilogue.has_add() {
                output = (output + inputs[step.own()])?;
            }
            if step.epilogue.has_relu() {
                output = relu(&output)?;
            }
            if mode != Mode::Evaluation && self.plan.needs_gradient[step.output] {
                kept.push(StepTensors { saved, output: step.epilogue.has_relu().then(|| output.clone()) });
            } else {
                kept.push(StepTensors::default());
            }
            values[step.output] = Some(output);
            for &input in &step.inputs {
                pending[input] -= 1;
                if pending[input] == 0 {
                    values[input] = None;
                }
            }
        }
        let output = values[self.last].take().ok_or(candle_core::Error::UnwrapNone)?;
        Ok(Tape { mode, kept, output, statistics })
    }

    /// The gradients of the parameters, and that of the input if the plan has one.
    pub(super) fn backward_through(&self, tape: Tape, dy: Tensor) -> Result<(Gradients, Option<Tensor>)> {
        let pass = PassContext { weights: &self.weights, mode: tape.mode };
        let mut gradients = Gradients::new(&self.trained);
        let mut of_nodes: Vec<Option<Tensor>> = vec![None; self.plan.needs_gradient.len()];
        of_nodes[self.last] = Some(dy);
        // Each step's tensors are freed once it has been passed.
        for (step, kept) in self.plan.steps.iter().zip(tape.kept).rev() {
            let (true, Some(mut dy)) = (self.plan.needs_gradient[step.output], of_nodes[step.output].take()) else {
                continue;
            };
            if let Some(y) = kept.output {
                dy = relu_backward(&dy, &y)?;
            }
            let needs_gradient: Vec<bool> = step.inputs.iter().map(|&input| self.plan.needs_gradient[input]).collect();
            let own = step.own();
            if let Some(&residual) = step.inputs.get(own).filter(|_| needs_gradient[own]) {
                add_to(&mut of_nodes[residual], dy.clone())?;
            }
            let mut back = Backward {
                dy,
                saved: kept.saved,
                needs_gradient: &needs_gradient[..own],
                inputs: vec![None; own],
                gradients: &mut gradients,
            };
            step.layer.backward(&pass, &mut back)?;
            for (&input, dx) in step.inputs.iter().zip(back.inputs) {
                if let Some(dx) = dx {
                    add_to(&mut of_nodes[input], dx)?;
                }
            }
        }
        Ok((gradients, of_nodes.swap_remove(0)))
    }
}
