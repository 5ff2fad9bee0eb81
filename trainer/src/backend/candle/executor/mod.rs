//! The executor on a device.

mod tape;

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::Tensor;
use models::ops::Shape;
use models::{Params, Tensor as HostTensor};

use crate::backend::candle::device::CandleDevice;
use crate::backend::candle::layer::Gradients;
use crate::backend::candle::optimizer::{Averages, DeviceOptimizer};
use crate::backend::candle::plan::Plan;
use crate::backend::candle::products::Arithmetic;
use crate::backend::candle::rule::ParamTensors;
use crate::backend::candle::tensors::{download, memory_dims, sum_of_squares, to_graph, to_memory, upload};
use crate::backend::executor::{EMA, EMA_UPDATES, OPTIMIZER, WEIGHTS, entry, part};
use crate::backend::mode::Mode;
use crate::backend::weights::{Parameter, Weights, to_layer_layout};
use crate::backend::{ExecError, Executor, ExecutorSpec, Precision, State, UpdateRule};
use crate::optim::{StateError, Step};
use tape::Tape;

/// A network with its weights, gradients and optimizer on a device.
pub(in crate::backend) struct CandleExecutor {
    pub(in crate::backend::candle) device: CandleDevice,
    pub(in crate::backend::candle) plan: Plan,
    pub(in crate::backend::candle) weights: Weights<Tensor>,
    pub(in crate::backend::candle) trained: Vec<bool>,
    input: Shape,
    output: Shape,
    /// The node whose output is the network's.
    pub(in crate::backend::candle) last: usize,
    update: Option<Update>,
    /// Of the last forward pass in training, until its backward pass.
    tape: Option<Tape>,
    /// Sums since the last update.
    gradients: Option<Gradients>,
}

/// The optimizer and the averages.
struct Update {
    optimizer: DeviceOptimizer,
    /// The ids of the optimizer's parameters.
    param_ids: Vec<usize>,
    averages: Option<Averages>,
}

impl CandleExecutor {
    pub(in crate::backend) fn open(
        spec: &ExecutorSpec<'_>,
        device: &CandleDevice,
        precision: Precision,
    ) -> Result<Self, ExecError> {
        let ExecutorSpec { graph, params, trains, update } = *spec;
        let weights = Weights::new(graph, params)?;
        let trained: Vec<bool> = weights.parameters().iter().map(|p| p.trainable && trains(p)).collect();
        let put =
            |parameter: &Parameter, numbers: Vec<f32>| upload(&numbers, &parameter.layer_shape(), device.device());
        let weights = device.check(weights.try_map(put))?;
        let plan =
            device.check(Plan::new(graph, &weights, &trained, Arithmetic { device: device.device(), precision }))?;
        let mut executor = Self {
            device: device.clone(),
            plan,
            weights,
            trained,
            input: graph.shape(graph.input()).clone(),
            output: graph.shape(graph.output()).clone(),
            last: graph.output().index(),
            update: None,
            tape: None,
            gradients: None,
        };
        executor.update = update.map(|rule| executor.updated_by(&rule, spec)).transpose()?;
        Ok(executor)
    }

    fn updated_by(&self, rule: &UpdateRule, spec: &ExecutorSpec<'_>) -> Result<Update, ExecError> {
        let parameters = self.weights.parameters();
        let (param_ids, settings) = rule.settings(spec.graph, parameters, &self.trained);
        let shapes: Vec<Vec<usize>> = param_ids.iter().map(|&id| parameters[id].layer_shape()).collect();
        let optimizer = DeviceOptimizer::new(rule.kind, settings, &shapes, &self.device)?;
        let averages = rule.ema.map(|options| Averages::new(options, self.weights.stored()));
        Ok(Update { optimizer, param_ids, averages })
    }

    /// Images `[n, h, w, c]` on the device.
    fn images(&self, numbers: &[f32]) -> Result<Tensor, ExecError> {
        let count = numbers.len() / self.input.len();
        if count == 0 || count * self.input.len() != numbers.len() {
            return Err(ExecError::Input { expected: self.input.to_string(), found: vec![numbers.len()] });
        }
        self.device.check(upload(numbers, &memory_dims(count, self.input.dims()), self.device.device()))
    }

    /// The gradients of the last forward pass are added to the sums; that of the input, if the plan has one.
    pub(in crate::backend::candle) fn add_gradients(&mut self, dlogits: &[f32]) -> Result<Option<Tensor>, ExecError> {
        let tape = self.tape.take().ok_or(ExecError::NoForwardPass)?;
        if dlogits.len() != tape.output.elem_count() {
            return Err(ExecError::Input { expected: self.output.to_string(), found: vec![dlogits.len()] });
        }
        let dy = self.device.check(upload(dlogits, tape.output.dims(), self.device.device()))?;
        let (fresh, input) = self.device.check(self.backward_through(tape, dy))?;
        match &mut self.gradients {
            Some(sum) => self.device.check(sum.add(fresh))?,
            none => *none = Some(fresh),
        }
        Ok(input)
    }

    /// Parameters with their numbers, taken from the device, as a state dict.
    fn params<'a>(&self, tensors: impl Iterator<Item = Option<&'a Tensor>>) -> Result<Params, ExecError> {
        let present = self.weights.parameters().iter().zip(tensors).filter_map(|(p, tensor)| Some((p, tensor?)));
        let taken = present.map(|(parameter, tensor)| {
            let numbers = self.device.check(download(tensor))?;
            Ok((parameter.name.clone(), parameter.tensor(&numbers)))
        });
        taken.collect()
    }

    fn names(&self) -> Vec<String> {
        self.weights.parameters().iter().map(|parameter| parameter.name.clone()).collect()
    }

    fn read(&self, prefix: &str, tensors: &[Tensor], state: &mut State<'_>) -> Result<(), ExecError> {
        for (parameter, tensor) in self.weights.parameters().iter().zip(tensors) {
            state.insert(format!("{prefix}{}", parameter.name), Cow::Owned(self.device.check(download(tensor))?));
        }
        Ok(())
    }
}

impl Executor for CandleExecutor {
    fn parameters(&self) -> &[Parameter] {
        self.weights.parameters()
    }

    fn trained(&self) -> &[bool] {
        &self.trained
    }

    fn outputs(&self) -> usize {
        self.output.len()
    }

    fn infer_nhwc(&self, images: &[f32]) -> Result<Vec<f32>, ExecError> {
        let x = self.images(images)?;
        self.device.check(self.evaluate(x).and_then(|y| download(&y)))
    }

    fn infer_nchw(&self, input: &HostTensor) -> Result<HostTensor, ExecError> {
        let shape = input.shape();
        if shape.get(1..) != Some(self.input.dims()) || shape[0] == 0 {
            return Err(ExecError::Input { expected: self.input.to_string(), found: shape.to_vec() });
        }
        let x = upload(input.data(), shape, self.device.device()).and_then(|x| to_memory(&x));
        let y = x.and_then(|x| self.evaluate(x)).and_then(|y| download(&to_graph(&y)?));
        let dims: Vec<usize> = shape[..1].iter().chain(self.output.dims()).copied().collect();
        Ok(HostTensor::new(dims, self.device.check(y)?))
    }

    fn forward_train(&mut self, images: &[f32], seed: u64) -> Result<Vec<f32>, ExecError> {
        // The old tape's memory is free first.
        self.tape = None;
        let x = self.images(images)?;
        let mut tape = self.device.check(self.pass(x, Mode::Training { seed }))?;
        for (id, tensor) in std::mem::take(&mut tape.statistics) {
            self.weights.replace(id, tensor);
        }
        let output = self.device.check(download(&tape.output))?;
        self.tape = Some(tape);
        Ok(output)
    }

    fn backward(&mut self, dlogits: &[f32]) -> Result<(), ExecError> {
        self.add_gradients(dlogits).map(drop)
    }

    fn gradient_norm(&self) -> Result<f64, ExecError> {
        let (Some(update), Some(gradients)) = (&self.update, &self.gradients) else { return Ok(0.0) };
        let all: Vec<&Tensor> = update.param_ids.iter().filter_map(|&id| gradients.get(id)).collect();
        Ok(self.device.check(sum_of_squares(&all))?.sqrt())
    }

    fn apply(&mut self, step: Step) -> Result<(), ExecError> {
        let update = self.update.as_mut().ok_or(ExecError::NoUpdateRule)?;
        let Some(gradients) = self.gradients.take() else { return Ok(()) };
        for (index, &id) in update.param_ids.iter().enumerate() {
            if let Some(gradient) = gradients.get(id) {
                let weights = &self.weights.stored()[id];
                let tensors = ParamTensors { weights, gradient };
                let stepped = self.device.check(update.optimizer.update(index, tensors, step))?;
                self.weights.replace(id, stepped);
            }
        }
        match &mut update.averages {
            Some(averages) => self.device.check(averages.update(self.weights.stored())),
            None => Ok(()),
        }
    }

    fn swap_averages(&mut self) -> Result<(), ExecError> {
        if let Some(averages) = self.update.as_mut().and_then(|update| update.averages.as_mut()) {
            for (id, average) in averages.tensors.iter_mut().enumerate() {
                let weights = self.weights.stored()[id].clone();
                self.weights.replace(id, std::mem::replace(average, weights));
            }
        }
        Ok(())
    }

    fn read_weights(&self) -> Result<Params, ExecError> {
        self.params(self.weights.stored().iter().map(Some))
    }

    fn write_weights(&mut self, params: &Params) -> Result<(), ExecError> {
        for (id, name) in self.names().into_iter().enumerate() {
            let tensor = params.get(&name).ok_or_else(|| StateError::Missing { key: name.clone() })?;
            let (numbers, own) = (to_layer_layout(tensor), &self.weights.stored()[id]);
            if numbers.len() != own.elem_count() {
                return Err(StateError::Length { key: name, expected: own.elem_count(), found: numbers.len() }.into());
            }
            let written = self.device.check(upload(&numbers, own.dims(), self.device.device()))?;
            self.weights.replace(id, written);
        }
        Ok(())
    }

    fn read_gradients(&self) -> Result<Params, ExecError> {
        match &self.gradients {
            Some(gradients) => self.params((0..self.trained.len()).map(|id| gradients.get(id))),
            None => Ok(Params::default()),
        }
    }

    fn read_state(&self) -> Result<State<'_>, ExecError> {
        let mut state = State::new();
        self.read(WEIGHTS, self.weights.stored(), &mut state)?;
        let Some(update) = &self.update else { return Ok(state) };
        if let Some(averages) = &update.averages {
            self.read(EMA, &averages.tensors, &mut state)?;
            state.insert(EMA_UPDATES.to_owned(), Cow::Owned(vec![averages.updates as f32]));
        }
        let slots = self.device.check(update.optimizer.state())?;
        state.extend(slots.into_iter().map(|(key, numbers)| (format!("{OPTIMIZER}{key}"), numbers)));
        Ok(state)
    }

    fn write_state(&mut self, state: &State<'_>) -> Result<(), ExecError> {
        let written = |prefix: &str, name: &str, own: &Tensor| {
            let numbers = entry(state, &format!("{prefix}{name}"), own.elem_count())?;
            self.device.check(upload(numbers, own.dims(), self.device.device()))
        };
        let names = self.names();
        let all = |prefix: &str, own: &[Tensor]| -> Result<Vec<Tensor>, ExecError> {
            names.iter().zip(own).map(|(name, own)| written(prefix, name, own)).collect()
        };
        let weights = all(WEIGHTS, self.weights.stored())?;
        let averages = match self.update.as_ref().and_then(|update| update.averages.as_ref()) {
            Some(averages) => Some((all(EMA, &averages.tensors)?, entry(state, EMA_UPDATES, 1)?[0] as u64)),
            None => None,
        };
        weights.into_iter().enumerate().for_each(|(id, tensor)| self.weights.replace(id, tensor));
        let Some(update) = &mut self.update else { return Ok(()) };
        if let (Some(own), Some((tensors, updates))) = (&mut update.averages, averages) {
            (own.tensors, own.updates) = (tensors, updates);
        }
        let slots: BTreeMap<String, &Cow<'_, [f32]>> = part(state, OPTIMIZER);
        update.optimizer.restore(&slots, &self.device)
    }
}
