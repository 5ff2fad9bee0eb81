//! What changes weights on a device: an optimizer with its state, and the averages of the weights.

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::device::CandleDevice;
use super::rule::{self, ParamTensors};
use super::tensors::{download, upload};
use crate::backend::{ExecError, State};
use crate::optim::rule::Application;
use crate::optim::state::{STEP, check, key};
use crate::optim::{EmaOptions, OptimizerKind, Parameter, Step};

/// A rule with what it keeps for each parameter.
pub(super) struct DeviceOptimizer {
    rule: OptimizerKind,
    parameters: Vec<ParamState>,
}

struct ParamState {
    parameter: Parameter,
    count: u64,
    slots: Vec<Tensor>,
}

/// A moving average of every parameter and running statistic.
pub(super) struct Averages {
    options: EmaOptions,
    pub(super) tensors: Vec<Tensor>,
    pub(super) updates: u64,
}

impl DeviceOptimizer {
    /// At its beginning, for parameters of these shapes.
    pub(super) fn new(
        rule: OptimizerKind,
        parameters: Vec<Parameter>,
        shapes: &[Vec<usize>],
        device: &CandleDevice,
    ) -> std::result::Result<Self, ExecError> {
        rule.check(&parameters)?;
        let keep = |(parameter, shape): (Parameter, &Vec<usize>)| {
            let slot = |&(_, first): &(&str, f32)| Tensor::full(first, shape.as_slice(), device.device());
            let slots = rule.slots().iter().map(slot).collect::<Result<_>>()?;
            Ok(ParamState { parameter, count: 0, slots })
        };
        let parameters = parameters.into_iter().zip(shapes).map(keep).collect::<Result<_>>();
        Ok(Self { rule, parameters: device.check(parameters)? })
    }

    /// The weights of the `index`-th parameter after a step.
    pub(super) fn update(&mut self, index: usize, tensors: ParamTensors<'_>, step: Step) -> Result<Tensor> {
        let state = &mut self.parameters[index];
        state.count += 1;
        let now = Application {
            rate: step.rate * state.parameter.rate,
            weight_decay: state.parameter.weight_decay,
            gradient_scale: step.gradient_scale,
            count: state.count,
        };
        rule::apply(self.rule, tensors, &mut state.slots, now)
    }

    /// As that of [`Optimizer::state`](crate::optim::Optimizer::state).
    pub(super) fn state(&self) -> Result<State<'static>> {
        let mut all = State::new();
        for kept in &self.parameters {
            let name = &kept.parameter.name;
            all.insert(key(STEP, name), Cow::Owned(vec![kept.count as f32]));
            for (&(slot, _), numbers) in self.rule.slots().iter().zip(&kept.slots) {
                all.insert(key(slot, name), Cow::Owned(download(numbers)?));
            }
        }
        Ok(all)
    }

    /// Continues from a state; nothing has changed where it does not fit.
    pub(super) fn restore(
        &mut self,
        state: &BTreeMap<String, &Cow<'_, [f32]>>,
        device: &CandleDevice,
    ) -> std::result::Result<(), ExecError> {
        let parameters: Vec<&Parameter> = self.parameters.iter().map(|kept| &kept.parameter).collect();
        let counts = check(self.rule, &parameters, state)?;
        for (kept, count) in self.parameters.iter_mut().zip(counts) {
            kept.count = count;
            for (&(slot, _), numbers) in self.rule.slots().iter().zip(&mut kept.slots) {
                let saved = state[&key(slot, &kept.parameter.name)];
                *numbers = device.check(upload(saved, numbers.dims(), device.device()))?;
            }
        }
        Ok(())
    }
}

impl Averages {
    /// Begins as these tensors.
    pub(super) fn new(options: EmaOptions, tensors: &[Tensor]) -> Self {
        Self { options, tensors: tensors.to_vec(), updates: 0 }
    }

    /// Takes in the weights after a step.
    pub(super) fn update(&mut self, weights: &[Tensor]) -> Result<()> {
        let fresh = f64::from(self.options.fresh(self.updates));
        for (average, weight) in self.tensors.iter_mut().zip(weights) {
            *average = (&*average + ((weight - &*average)? * fresh)?)?;
        }
        self.updates += 1;
        Ok(())
    }
}
