//! How gradients change weights: rules, parameter groups, schedules, losses, clipping, averages, and the state that a rule
//! has between steps.
//!
//! Everything here is elementwise on slices, so any layout works that weights and gradient share.

mod averages;
pub mod binary;
mod clip;
mod elementwise;
mod groups;
pub mod loss;
pub(crate) mod rule;
pub mod schedule;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use crate::options::{self, OptionError};
use thiserror::Error;

pub use averages::{Ema, EmaOptions, EmaWarmUp};
pub use clip::{clip_factor, global_norm, scale};
pub use groups::{Decayed, Groups, Kind, ParamInfo, Parameter};
pub use rule::OptimizerKind;
pub use state::StateError;

use rule::Application;

/// A rule with what it keeps for each parameter.
#[derive(Debug, Clone)]
pub struct Optimizer {
    rule: OptimizerKind,
    parameters: Vec<ParamState>,
}

/// A parameter, how often it was changed, and its slots in the order of [`OptimizerKind::slots`].
#[derive(Debug, Clone)]
struct ParamState {
    parameter: Parameter,
    count: u64,
    slots: Vec<Vec<f32>>,
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The learning rate, before each parameter's multiplier.
    pub rate: f64,
    /// What every gradient is multiplied by first: [`clip_factor`]'s answer, the reciprocal of a number of
    /// micro-batches, or one. Saves a pass over the gradients.
    pub gradient_scale: f32,
}

impl Step {
    /// A step with the gradients as they are.
    #[must_use]
    pub fn at(rate: f64) -> Self {
        Self { rate, gradient_scale: 1.0 }
    }
}

/// The numbers of a parameter that a step reads and changes.
#[derive(Debug)]
pub struct ParamTensors<'a> {
    /// Changed by the step.
    pub weights: &'a mut [f32],
    /// As long as the weights.
    pub gradient: &'a [f32],
}

/// Weights cannot be changed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OptimError {
    /// A number out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Two parameters of one name, whose state could not be told apart.
    #[error("two parameters are named `{name}`; give a shared parameter to the optimizer once")]
    Twice {
        /// The name that both have.
        name: String,
    },
    /// Weights or a gradient of another length than the parameter's.
    #[error(
        "`{name}` has {expected} numbers, but its {what} has {found}; pass whole tensors, always in the same order"
    )]
    Length {
        /// The parameter's name.
        name: String,
        /// Which tensor it is: `gradient` or `tensor of weights`.
        what: &'static str,
        /// How many numbers the parameter has.
        expected: usize,
        /// How many were passed.
        found: usize,
    },
    /// More or fewer tensors than parameters.
    #[error(
        "there are {expected} parameters and {found} tensors for them; pass one for each, always in the same order"
    )]
    Tensors {
        /// How many parameters there are.
        expected: usize,
        /// How many tensors were passed.
        found: usize,
    },
}

impl Optimizer {
    /// A rule at its beginning for these parameters.
    ///
    /// # Errors
    /// [`OptimError::Option`] for a rule, a multiplier or a decay that makes no sense, [`OptimError::Twice`].
    pub fn new(rule: OptimizerKind, parameters: Vec<Parameter>) -> Result<Self, OptimError> {
        rule.check(&parameters)?;
        let keep = |parameter: Parameter| {
            let slots = rule.slots().iter().map(|&(_, first)| vec![first; parameter.numbers]).collect();
            ParamState { parameter, count: 0, slots }
        };
        Ok(Self { rule, parameters: parameters.into_iter().map(keep).collect() })
    }

    /// The kind of optimizer, with its options.
    #[must_use]
    pub fn rule(&self) -> OptimizerKind {
        self.rule
    }

    /// The parameters, in the order in which [`Optimizer::step`] takes them.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = &Parameter> {
        self.parameters.iter().map(|state| &state.parameter)
    }

    /// Changes the weights of every parameter by its gradient; `tensors` has one entry for each, in order.
    ///
    /// # Errors
    /// [`OptimError::Length`], [`OptimError::Tensors`]; nothing has changed then.
    pub fn step(&mut self, tensors: &mut [ParamTensors<'_>], step: Step) -> Result<(), OptimError> {
        if tensors.len() != self.parameters.len() {
            return Err(OptimError::Tensors { expected: self.parameters.len(), found: tensors.len() });
        }
        for (state, tensors) in self.parameters.iter().zip(tensors.iter()) {
            state.parameter.check(tensors)?;
        }
        for (index, ParamTensors { weights, gradient }) in tensors.iter_mut().enumerate() {
            self.update(index, ParamTensors { weights, gradient }, step)?;
        }
        Ok(())
    }

    /// Changes the weights of one parameter, the `index`-th. For parameters that are frozen for a while, or whose
    /// gradients are not all in memory at once: each counts its own steps, as PyTorch's do.
    ///
    /// # Errors
    /// [`OptimError::Length`], [`OptimError::Tensors`]; nothing has changed then.
    pub fn update(&mut self, index: usize, tensors: ParamTensors<'_>, step: Step) -> Result<(), OptimError> {
        let expected = self.parameters.len();
        let state = self.parameters.get_mut(index).ok_or(OptimError::Tensors { expected, found: index + 1 })?;
        state.parameter.check(&tensors)?;
        state.count += 1;
        let now = Application {
            rate: step.rate * state.parameter.rate,
            weight_decay: state.parameter.weight_decay,
            gradient_scale: step.gradient_scale,
            count: state.count,
        };
        self.rule.apply(tensors, &mut state.slots, now);
        Ok(())
    }
}

impl Parameter {
    fn validate(&self) -> Result<(), OptimError> {
        let right = |number: f64| number.is_finite() && number >= 0.0;
        let table =
            [(right(self.weight_decay), "weight_decay", "zero or more"), (right(self.rate), "rate", "zero or more")];
        Ok(options::check(&table)?)
    }

    fn check(&self, tensors: &ParamTensors<'_>) -> Result<(), OptimError> {
        for (what, found) in [("tensor of weights", tensors.weights.len()), ("gradient", tensors.gradient.len())] {
            if found != self.numbers {
                return Err(OptimError::Length { name: self.name.clone(), what, expected: self.numbers, found });
            }
        }
        Ok(())
    }
}

impl OptimizerKind {
    /// Whether a rule and what it is to change make sense.
    pub(crate) fn check(self, parameters: &[Parameter]) -> Result<(), OptimError> {
        self.validate()?;
        parameters.iter().try_for_each(Parameter::validate)?;
        let mut names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(OptimError::Twice { name: pair[0].to_owned() }),
            None => Ok(()),
        }
    }
}

/// Whether tensors are as many and as long as those that are state for them.
fn fits(state: &[Vec<f32>], tensors: &[&[f32]], what: &'static str) -> Result<(), OptimError> {
    if state.len() != tensors.len() {
        return Err(OptimError::Tensors { expected: state.len(), found: tensors.len() });
    }
    for (index, (state, tensor)) in state.iter().zip(tensors).enumerate() {
        let (expected, found) = (state.len(), tensor.len());
        if expected != found {
            return Err(OptimError::Length { name: format!("parameter {index}"), what, expected, found });
        }
    }
    Ok(())
}
