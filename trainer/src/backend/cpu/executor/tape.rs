//! The forward and the backward pass over the steps of the plan.

use std::time::Instant;

use super::CpuExecutor;
use crate::backend::ExecError;
use crate::backend::cpu::array::Array;
use crate::backend::cpu::gradients::Gradients;
use crate::backend::cpu::layer::{BackwardContext, LayerOutput, PassContext, SavedForBackward, add};
use crate::backend::mode::Mode;

/// A forward pass in training, with the arrays that its backward pass reads.
pub(in crate::backend::cpu) struct Tape {
    mode: Mode,
    batch: usize,
    /// By node.
    values: Vec<Option<Array>>,
    /// By step.
    saved: Vec<SavedForBackward>,
    output: Array,
    /// Of each step.
    seconds: Vec<f64>,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTime {
    /// The operators that are computed together, such as `BatchNorm + Relu`.
    pub operators: String,
    /// The name of the node whose output it makes.
    pub node: String,
    /// Seconds, forward and backward.
    pub seconds: [f64; 2],
}

/// The gradients of a backward pass.
pub(in crate::backend::cpu) struct BackwardOutput {
    pub(in crate::backend::cpu) gradients: Gradients,
    pub(in crate::backend::cpu) input: Option<Array>,
    seconds: Vec<f64>,
}

impl Tape {
    /// The output; `[n, classes]` for a classifier.
    pub(in crate::backend::cpu) fn output(&self) -> &[f32] {
        self.output.numbers()
    }
}

impl CpuExecutor {
    /// The output in evaluation.
    pub(in crate::backend::cpu) fn evaluate(&self, x: Array, batch: usize) -> Result<Array, ExecError> {
        let pass = self.pass(x, batch, Mode::Evaluation)?;
        Ok(pass.output)
    }

    /// The forward pass over images `[n, h, w, c]`, by the statistics of the batch and with dropout that the seed decides.
    /// Updates the running statistics.
    ///
    /// # Errors
    /// [`ExecError::Input`] when these are not whole images of the size that the graph takes, [`ExecError::OneDnn`] when the
    /// library fails.
    pub(in crate::backend::cpu) fn forward_tape(&mut self, images: &[f32], seed: u64) -> Result<Tape, ExecError> {
        let batch = self.images(images)?;
        let pass = self.pass(self.pool.copy(images)?, batch, Mode::Training { seed })?;
        let run = PassContext { weights: &self.weights, pool: &self.pool, batch, mode: pass.mode };
        let steps = self.plan.steps.iter().zip(&pass.saved);
        let statistics = steps.flat_map(|(step, saved)| step.layer.statistics(&run, saved));
        for (id, numbers) in statistics.collect::<Vec<_>>() {
            self.weights.replace(id, numbers);
        }
        Ok(pass)
    }

    /// How long each step takes, from one pass over images `[n, h, w, c]` forward and backward.
    ///
    /// # Errors
    /// [`ExecError::Input`] when these are not whole images of the size that the graph takes.
    pub fn profile(&mut self, images: &[f32]) -> Result<Vec<StepTime>, ExecError> {
        let mut pass = self.forward_tape(images, 0)?;
        let forward = std::mem::take(&mut pass.seconds);
        let dy = vec![1.0 / pass.output().len() as f32; pass.output().len()];
        let backward = self.backward_to_input(pass, &dy)?.seconds;
        let steps = self.plan.steps.iter().zip(forward.into_iter().zip(backward));
        Ok(steps
            .map(|(step, (forward, backward))| StepTime {
                operators: step.operators.clone(),
                node: step.name.clone(),
                seconds: [forward, backward],
            })
            .collect())
    }

    /// The gradients of the parameters, and that of the input if the plan has one.
    pub(in crate::backend::cpu) fn backward_to_input(
        &self,
        mut pass: Tape,
        dy: &[f32],
    ) -> Result<BackwardOutput, ExecError> {
        if dy.len() != pass.output().len() {
            return Err(ExecError::Input { expected: self.output.to_string(), found: vec![dy.len()] });
        }
        let run = PassContext { weights: &self.weights, pool: &self.pool, batch: pass.batch, mode: pass.mode };
        let mut gradients = Gradients::new(&self.trained);
        let mut gradients_of: Vec<Option<Array>> = vec![None; self.plan.needs_gradient.len()];
        gradients_of[self.last] = Some(self.pool.copy(dy)?);
        let mut seconds = vec![0.0; self.plan.steps.len()];
        let nothing = self.pool.empty();
        for (number, (step, saved)) in self.plan.steps.iter().zip(&pass.saved).enumerate().rev() {
            let clock = Instant::now();
            let (true, Some(dy)) = (self.plan.needs_gradient[step.output], gradients_of[step.output].take()) else {
                continue;
            };
            let saved_value = |node: usize| pass.values[node].as_ref().unwrap_or(&nothing);
            let mut back = BackwardContext {
                dy,
                inputs: step.inputs.iter().map(|&input| saved_value(input)).collect(),
                output: saved_value(step.output),
                saved,
                input_gradients: step.inputs.iter().map(|&input| gradients_of[input].take()).collect(),
                needs_gradient: &step.inputs.iter().map(|&input| self.plan.needs_gradient[input]).collect::<Vec<_>>(),
                gradients: &mut gradients,
            };
            step.layer.backward(&run, &mut back)?;
            let BackwardContext { input_gradients, .. } = back;
            for (&input, gradient) in step.inputs.iter().zip(input_gradients) {
                // A step may take one node twice.
                gradients_of[input] = match (gradients_of[input].take(), gradient) {
                    (Some(sum), Some(gradient)) => Some(add(sum, gradient)?),
                    (sum, gradient) => sum.or(gradient),
                };
            }
            pass.values[step.output] = None;
            seconds[number] = clock.elapsed().as_secs_f64();
        }
        Ok(BackwardOutput { gradients, input: gradients_of.swap_remove(0), seconds })
    }

    fn pass(&self, x: Array, batch: usize, mode: Mode) -> Result<Tape, ExecError> {
        let keeps = |node: usize| mode != Mode::Evaluation && self.plan.saved[node];
        let run = PassContext { weights: &self.weights, pool: &self.pool, batch, mode };
        let mut pending = self.plan.uses.clone();
        let mut values: Vec<Option<Array>> = vec![None; pending.len()];
        values[0] = Some(x);
        let mut saved = Vec::with_capacity(self.plan.steps.len());
        let mut seconds = Vec::with_capacity(self.plan.steps.len());
        for step in &self.plan.steps {
            let clock = Instant::now();
            let inputs: Vec<&Array> = step.inputs.iter().filter_map(|&input| values[input].as_ref()).collect();
            let LayerOutput { output, saved: more } = step.layer.forward(&run, &inputs)?;
            saved.push(more);
            values[step.output] = Some(output);
            seconds.push(clock.elapsed().as_secs_f64());
            for &input in &step.inputs {
                pending[input] -= 1;
                if pending[input] == 0 && !keeps(input) {
                    values[input] = None;
                }
            }
        }
        let output = values[self.last].clone().unwrap_or_else(|| self.pool.empty());
        if !keeps(self.last) {
            values[self.last] = None;
        }
        Ok(Tape { mode, batch, values, saved, output, seconds })
    }
}
