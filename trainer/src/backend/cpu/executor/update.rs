//! Training on the CPU: the executor's gradients, its optimizer, and the averages of its weights.

use std::borrow::Cow;
use std::collections::BTreeMap;

use models::{Params, Tensor};

use super::CpuExecutor;
use crate::backend::cpu::weights::{Parameter, to_layer_layout};
use crate::backend::{ComputeBackend, ExecError, Executor, ExecutorSpec, State, UpdateRule};
use crate::optim::{Ema, Optimizer, ParamInfo, StateError, Step, global_norm};

/// The optimizer, with its state, and the sums of gradients since the last update.
pub(super) struct Update {
    optimizer: Optimizer,
    /// The ids of the optimizer's parameters.
    param_ids: Vec<usize>,
    ema: Option<Ema>,
}

/// Keys of the state.
const WEIGHTS: &str = "weights/";
const EMA: &str = "ema/";
const EMA_UPDATES: &str = "ema_updates";
const OPTIMIZER: &str = "optimiser/";

impl CpuExecutor {
    pub(in crate::backend) fn open(spec: &ExecutorSpec<'_>, backend: &ComputeBackend) -> Result<Self, ExecError> {
        let mut executor = Self::with_backend(spec.graph, spec.params, spec.trains, backend)?;
        executor.update = spec.update.as_ref().map(|rule| Update::new(&executor, spec, rule)).transpose()?;
        Ok(executor)
    }
}

impl Update {
    fn new(executor: &CpuExecutor, spec: &ExecutorSpec<'_>, rule: &UpdateRule) -> Result<Self, ExecError> {
        let parameters = executor.weights.parameters();
        let id = |name: &str| parameters.iter().position(|parameter| parameter.name == name);
        let (mut param_ids, mut settings) = (Vec::new(), Vec::new());
        for info in ParamInfo::of(spec.graph) {
            if let Some(id) = id(&info.name).filter(|&id| executor.trained[id]) {
                param_ids.push(id);
                settings.push(rule.groups.parameter(&info));
            }
        }
        let optimizer = Optimizer::new(rule.kind, settings)?;
        let ema = rule.ema.map(|options| Ema::new(options, executor.weights.numbers()));
        Ok(Self { optimizer, param_ids, ema })
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
        let tape = self.tape.take().ok_or(ExecError::NoForwardPass)?;
        let fresh = self.backward_tape(tape, dlogits)?;
        match &mut self.gradients {
            Some(sum) => sum.add(&fresh)?,
            none => *none = Some(fresh),
        }
        Ok(())
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
                update.optimizer.update(index, (weights, gradient), step)?;
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
            let key = || name.clone();
            let tensor = params.get(name).ok_or_else(|| StateError::Missing { key: key() })?;
            copy_exact(key, numbers, &to_layer_layout(tensor))?;
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
        let part = |prefix: &'static str| -> BTreeMap<String, &Cow<'_, [f32]>> {
            let of = |(key, numbers)| Some((str::strip_prefix(key, prefix)?.to_owned(), numbers));
            state.iter().filter_map(|(key, numbers)| of((key.as_str(), numbers))).collect()
        };
        let names: Vec<String> = self.weights.parameters().iter().map(|parameter| parameter.name.clone()).collect();
        for (name, numbers) in names.iter().zip(self.weights.numbers_mut()) {
            copy_entry(state, &format!("{WEIGHTS}{name}"), numbers)?;
        }
        let Some(update) = &mut self.update else { return Ok(()) };
        if let Some(ema) = &mut update.ema {
            for (name, average) in names.iter().zip(ema.averages_mut()) {
                copy_entry(state, &format!("{EMA}{name}"), average)?;
            }
            let mut updates = [0.0];
            copy_entry(state, EMA_UPDATES, &mut updates)?;
            ema.set_updates(updates[0] as u64);
        }
        Ok(update.optimizer.restore(&part(OPTIMIZER))?)
    }
}

fn copy_entry(state: &State<'_>, key: &str, to: &mut [f32]) -> Result<(), ExecError> {
    let from = state.get(key).ok_or_else(|| StateError::Missing { key: key.to_owned() })?;
    copy_exact(|| key.to_owned(), to, from)
}

fn copy_exact(key: impl FnOnce() -> String, to: &mut [f32], from: &[f32]) -> Result<(), ExecError> {
    if from.len() != to.len() {
        return Err(StateError::Length { key: key(), expected: to.len(), found: from.len() }.into());
    }
    to.copy_from_slice(from);
    Ok(())
}
