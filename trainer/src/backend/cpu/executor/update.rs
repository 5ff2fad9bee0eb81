//! Training on the CPU: the executor's gradients, its optimizer, and the averages of its weights.

use std::borrow::Cow;

use models::{Params, Tensor};

use super::CpuExecutor;
use super::tape::BackwardOutput;
use crate::backend::cpu::array::Array;
use crate::backend::executor::{EMA, EMA_UPDATES, OPTIMIZER, WEIGHTS, entry, part};
use crate::backend::weights::{Parameter, to_layer_layout};
use crate::backend::{ComputeBackend, ExecError, Executor, ExecutorSpec, State, UpdateRule};
use crate::optim::{Ema, Optimizer, ParamTensors, StateError, Step, global_norm};

/// The optimizer, with its state, and the sums of gradients since the last update.
pub(super) struct Update {
    optimizer: Optimizer,
    /// The ids of the optimizer's parameters.
    param_ids: Vec<usize>,
    ema: Option<Ema>,
}

impl CpuExecutor {
    pub(in crate::backend) fn open(spec: &ExecutorSpec<'_>, backend: &ComputeBackend) -> Result<Self, ExecError> {
        let mut executor = Self::with_backend(spec.graph, spec.params, spec.trains, backend)?;
        executor.update = spec.update.as_ref().map(|rule| Update::new(&executor, spec, rule)).transpose()?;
        Ok(executor)
    }
}

impl Update {
    fn new(executor: &CpuExecutor, spec: &ExecutorSpec<'_>, rule: &UpdateRule) -> Result<Self, ExecError> {
        let (param_ids, settings) = rule.settings(spec.graph, executor.weights.parameters(), &executor.trained);
        let optimizer = Optimizer::new(rule.kind, settings)?;
        let ema = rule.ema.map(|options| Ema::new(options, executor.weights.numbers()));
        Ok(Self { optimizer, param_ids, ema })
    }
}

impl CpuExecutor {
    /// The gradients of the last forward pass are added to the sums; that of the input, if the plan has one.
    pub(in crate::backend::cpu) fn add_gradients(&mut self, dlogits: &[f32]) -> Result<Option<Array>, ExecError> {
        let tape = self.tape.take().ok_or(ExecError::NoForwardPass)?;
        let BackwardOutput { gradients: fresh, input, .. } = self.backward_to_input(tape, dlogits)?;
        match &mut self.gradients {
            Some(sum) => sum.add(&fresh)?,
            none => *none = Some(fresh),
        }
        Ok(input)
    }
}

impl Executor for CpuExecutor {
    fn parameters(&self) -> &[Parameter] {
        self.weights.parameters()
    }

    fn trained(&self) -> &[bool] {
        &self.trained
    }

    fn outputs(&self) -> usize {
        Self::outputs(self)
    }

    fn infer_nhwc(&self, images: &[f32]) -> Result<Vec<f32>, ExecError> {
        Self::infer_nhwc(self, images)
    }

    fn infer_nchw(&self, input: &Tensor) -> Result<Tensor, ExecError> {
        Self::infer_nchw(self, input)
    }

    fn forward_train(&mut self, images: &[f32], seed: u64) -> Result<Vec<f32>, ExecError> {
        // The old tape's memory goes back to the pool first.
        self.tape = None;
        let tape = self.forward_tape(images, seed)?;
        let output = tape.output().to_vec();
        self.tape = Some(tape);
        Ok(output)
    }

    fn backward(&mut self, dlogits: &[f32]) -> Result<(), ExecError> {
        self.add_gradients(dlogits).map(drop)
    }

    fn gradient_norm(&self) -> Result<f64, ExecError> {
        let (Some(update), Some(gradients)) = (&self.update, &self.gradients) else { return Ok(0.0) };
        let all: Vec<&[f32]> = update.param_ids.iter().filter_map(|&id| gradients.get(id)).collect();
        Ok(global_norm(&all))
    }

    fn apply(&mut self, step: Step) -> Result<(), ExecError> {
        let update = self.update.as_mut().ok_or(ExecError::NoUpdateRule)?;
        let Some(gradients) = self.gradients.take() else { return Ok(()) };
        let mut weights: Vec<Option<&mut [f32]>> = self.weights.numbers_mut().map(Some).collect();
        for (index, &id) in update.param_ids.iter().enumerate() {
            if let (Some(weights), Some(gradient)) = (weights[id].take(), gradients.get(id)) {
                update.optimizer.update(index, ParamTensors { weights, gradient }, step)?;
            }
        }
        if let Some(ema) = &mut update.ema {
            ema.update(&self.weights.numbers().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn swap_averages(&mut self) -> Result<(), ExecError> {
        if let Some(ema) = self.update.as_mut().and_then(|update| update.ema.as_mut()) {
            let averages = ema.averages_mut();
            self.weights.numbers_mut().zip(averages).for_each(|(weights, average)| weights.swap_with_slice(average));
        }
        Ok(())
    }

    fn read_weights(&self) -> Result<Params, ExecError> {
        Ok(self.weights.to_params())
    }

    fn write_weights(&mut self, params: &Params) -> Result<(), ExecError> {
        let names: Vec<String> = self.weights.parameters().iter().map(|parameter| parameter.name.clone()).collect();
        for (name, numbers) in names.iter().zip(self.weights.numbers_mut()) {
            let tensor = params.get(name).ok_or_else(|| StateError::Missing { key: name.clone() })?;
            let written = to_layer_layout(tensor);
            if written.len() != numbers.len() {
                let (expected, found) = (numbers.len(), written.len());
                return Err(StateError::Length { key: name.clone(), expected, found }.into());
            }
            numbers.copy_from_slice(&written);
        }
        Ok(())
    }

    fn read_gradients(&self) -> Result<Params, ExecError> {
        let Some(gradients) = &self.gradients else { return Ok(Params::default()) };
        let parameters = self.weights.parameters().iter().enumerate();
        let tensor = |(id, parameter): (usize, &Parameter)| {
            gradients.get(id).map(|numbers| (parameter.name.clone(), parameter.tensor(numbers)))
        };
        Ok(parameters.filter_map(tensor).collect())
    }

    fn read_state(&self) -> Result<State<'_>, ExecError> {
        let names = || self.weights.parameters().iter().map(|parameter| &parameter.name);
        let mut state = State::new();
        state.extend(
            names().zip(self.weights.numbers()).map(|(name, numbers)| (format!("{WEIGHTS}{name}"), numbers.into())),
        );
        let Some(update) = &self.update else { return Ok(state) };
        if let Some(ema) = &update.ema {
            state.extend(names().zip(ema.averages()).map(|(name, numbers)| (format!("{EMA}{name}"), numbers.into())));
            state.insert(EMA_UPDATES.to_owned(), Cow::Owned(vec![ema.updates() as f32]));
        }
        state.extend(update.optimizer.state().into_iter().map(|(key, numbers)| (format!("{OPTIMIZER}{key}"), numbers)));
        Ok(state)
    }

    fn write_state(&mut self, state: &State<'_>) -> Result<(), ExecError> {
        let names: Vec<String> = self.weights.parameters().iter().map(|parameter| parameter.name.clone()).collect();
        for (name, numbers) in names.iter().zip(self.weights.numbers_mut()) {
            numbers.copy_from_slice(entry(state, &format!("{WEIGHTS}{name}"), numbers.len())?);
        }
        let Some(update) = &mut self.update else { return Ok(()) };
        if let Some(ema) = &mut update.ema {
            for (name, average) in names.iter().zip(ema.averages_mut()) {
                average.copy_from_slice(entry(state, &format!("{EMA}{name}"), average.len())?);
            }
            ema.set_updates(entry(state, EMA_UPDATES, 1)?[0] as u64);
        }
        Ok(update.optimizer.restore(&part(state, OPTIMIZER))?)
    }
}
