//! The optimizer's state in checkpoints.

use std::borrow::Cow;
use std::collections::BTreeMap;

use thiserror::Error;

use super::{Optimizer, OptimizerKind, Parameter};

/// The slot that counts a parameter's steps; one number, as PyTorch stores it.
pub(crate) const STEP: &str = "step";

/// Why a checkpoint's optimizer state does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// A missing slot.
    #[error("the state has no `{key}`; it is of another network or another rule, so begin without it")]
    Missing {
        /// Slot and parameter.
        key: String,
    },
    /// A slot that this optimizer does not have.
    #[error("the state has `{key}`, which this optimizer does not keep; it is of another network or another rule")]
    Unknown {
        /// Slot and parameter.
        key: String,
    },
    /// A slot of another length.
    #[error("`{key}` of the state has {found} numbers where the parameter has {expected}")]
    Length {
        /// Slot and parameter.
        key: String,
        /// How many numbers it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A step count that is no whole number.
    #[error("`{key}` of the state is {value}, which is no count of steps; the file is damaged")]
    Count {
        /// Slot and parameter.
        key: String,
        /// The number in the file.
        value: String,
    },
}

impl Optimizer {
    /// Every slot under `slot/parameter`, such as `exp_avg/fc.weight`, with as many numbers as the parameter has in the
    /// same order, and `step/parameter`, one number, exact up to 2^24. The names of slots are PyTorch's and
    /// TensorFlow's: `momentum`, `rms`, `exp_avg`, `exp_avg_sq`.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, Cow<'_, [f32]>> {
        let mut state = BTreeMap::new();
        for kept in &self.parameters {
            let name = &kept.parameter.name;
            state.insert(key(STEP, name), Cow::Owned(vec![kept.count as f32]));
            for (&(slot, _), numbers) in self.rule.slots().iter().zip(&kept.slots) {
                state.insert(key(slot, name), Cow::Borrowed(numbers.as_slice()));
            }
        }
        state
    }

    /// Restores [`Optimizer::state`]; training then continues to the same bits.
    ///
    /// # Errors
    /// [`StateError`] naming the first number that does not fit; nothing has changed then.
    pub fn restore(&mut self, state: &BTreeMap<String, impl AsRef<[f32]>>) -> Result<(), StateError> {
        let parameters: Vec<&Parameter> = self.parameters().collect();
        let counts = check(self.rule, &parameters, state)?;
        for (kept, count) in self.parameters.iter_mut().zip(counts) {
            kept.count = count;
            for (&(slot, _), numbers) in self.rule.slots().iter().zip(&mut kept.slots) {
                numbers.copy_from_slice(state[&key(slot, &kept.parameter.name)].as_ref());
            }
        }
        Ok(())
    }
}

/// Whether a state is one of this rule for these parameters; how often each of them was changed.
pub(crate) fn check(
    rule: OptimizerKind,
    parameters: &[&Parameter],
    state: &BTreeMap<String, impl AsRef<[f32]>>,
) -> Result<Vec<u64>, StateError> {
    let mut own = BTreeMap::new();
    for parameter in parameters {
        own.insert(key(STEP, &parameter.name), 1);
        own.extend(rule.slots().iter().map(|(slot, _)| (key(slot, &parameter.name), parameter.numbers)));
    }
    if let Some(key) = state.keys().find(|key| !own.contains_key(*key)) {
        return Err(StateError::Unknown { key: key.clone() });
    }
    for (key, &expected) in &own {
        let found = state.get(key).ok_or_else(|| StateError::Missing { key: key.clone() })?.as_ref().len();
        if found != expected {
            return Err(StateError::Length { key: key.clone(), expected, found });
        }
    }
    let steps = parameters.iter().map(|parameter| key(STEP, &parameter.name));
    steps.map(|key| count(&key, state[&key].as_ref()[0])).collect()
}

/// The name of a slot of a parameter.
pub(crate) fn key(slot: &str, parameter: &str) -> String {
    format!("{slot}/{parameter}")
}

fn count(key: &str, value: f32) -> Result<u64, StateError> {
    let whole = value.is_finite() && value >= 0.0 && value.fract() == 0.0;
    if whole { Ok(value as u64) } else { Err(StateError::Count { key: key.to_owned(), value: value.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{OptimizerKind, ParamTensors, Parameter, Step};

    const RULES: [OptimizerKind; 4] = [
        OptimizerKind::Sgd { momentum: 0.9, nesterov: true },
        OptimizerKind::Sgd { momentum: 0.0, nesterov: false },
        OptimizerKind::RmsProp { rho: 0.9, momentum: 0.5, epsilon: 1e-10 },
        OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    ];

    fn optimizer(rule: OptimizerKind) -> Optimizer {
        Optimizer::new(rule, vec![Parameter::plain("a", 3), Parameter::plain("b", 1)]).unwrap()
    }

    fn steps(optimizer: &mut Optimizer, weights: &mut [Vec<f32>; 2], count: usize) {
        for _ in 0..count {
            let gradients = weights.clone();
            let [a, b] = weights;
            let [first, second] = &gradients;
            let mut tensors =
                [ParamTensors { weights: a, gradient: first }, ParamTensors { weights: b, gradient: second }];
            optimizer.step(&mut tensors, Step::at(0.01)).unwrap();
        }
    }

    fn owned(optimizer: &Optimizer) -> BTreeMap<String, Vec<f32>> {
        optimizer.state().into_iter().map(|(key, numbers)| (key, numbers.into_owned())).collect()
    }

    #[test]
    fn going_on_from_a_state_gives_the_same_bits_as_never_stopping() {
        for rule in RULES {
            let mut through = (optimizer(rule), [vec![0.3, -0.7, 1.1], vec![0.2]]);
            steps(&mut through.0, &mut through.1, 7);
            let mut resumed = (optimizer(rule), through.1.clone());
            resumed.0.restore(&owned(&through.0)).unwrap();
            steps(&mut through.0, &mut through.1, 5);
            steps(&mut resumed.0, &mut resumed.1, 5);
            assert_eq!(resumed.1, through.1, "{rule:?}");
            assert_eq!(owned(&resumed.0), owned(&through.0), "{rule:?}");
        }
    }

    #[test]
    fn names_are_slot_and_parameter() {
        let optimizer = optimizer(OptimizerKind::adamw());
        let keys: Vec<String> = optimizer.state().into_keys().collect();
        assert_eq!(keys, ["exp_avg/a", "exp_avg/b", "exp_avg_sq/a", "exp_avg_sq/b", "step/a", "step/b"]);
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused_by_name_and_changes_nothing() {
        let mut optimizer = optimizer(OptimizerKind::Sgd { momentum: 0.9, nesterov: false });
        steps(&mut optimizer, &mut [vec![0.3, -0.7, 1.1], vec![0.2]], 2);
        let before = owned(&optimizer);

        let mut missing = before.clone();
        missing.remove("momentum/b");
        assert_eq!(optimizer.restore(&missing), Err(StateError::Missing { key: "momentum/b".into() }));

        let mut unknown = before.clone();
        unknown.insert("momentum/c".into(), vec![]);
        assert_eq!(optimizer.restore(&unknown), Err(StateError::Unknown { key: "momentum/c".into() }));

        let mut short = before.clone();
        short.insert("momentum/a".into(), vec![0.0]);
        let length = StateError::Length { key: "momentum/a".into(), expected: 3, found: 1 };
        assert_eq!(optimizer.restore(&short), Err(length));

        let mut damaged = before.clone();
        damaged.insert("step/b".into(), vec![-1.0]);
        let count = StateError::Count { key: "step/b".into(), value: "-1".into() };
        assert_eq!(optimizer.restore(&damaged), Err(count));
        assert_eq!(owned(&optimizer), before);
    }
}
