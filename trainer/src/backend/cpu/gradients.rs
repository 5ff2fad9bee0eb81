//! The gradients of the parameters.

use super::array::{Array, Pool};
use crate::backend::ExecError;
use crate::backend::cpu::kernels::elementwise;

/// A gradient for each parameter that is trained, in the order of [`Weights::parameters`](crate::backend::weights::Weights::parameters) and
/// the layout of its numbers.
#[derive(Clone)]
pub(super) struct Gradients {
    of: Vec<Option<Array>>,
    trained: Vec<bool>,
}

/// A parameter's id, and how many numbers its gradient has.
#[derive(Clone, Copy)]
pub(super) struct GradientOf {
    pub(super) id: usize,
    pub(super) length: usize,
}

impl Gradients {
    pub(super) fn new(trained: &[bool]) -> Self {
        Self { of: vec![None; trained.len()], trained: trained.to_vec() }
    }

    /// The gradient of the parameter at this id; `None` for one that is not trained.
    pub(super) fn get(&self, id: usize) -> Option<&[f32]> {
        self.of[id].as_ref().map(Array::numbers)
    }

    /// Adds another step's, as accumulation over several batches does.
    pub(super) fn add(&mut self, other: &Gradients) -> Result<(), ExecError> {
        for (sum, other) in self.of.iter_mut().zip(&other.of) {
            match (sum.as_mut(), other) {
                (Some(sum), Some(other)) => elementwise::update(sum.numbers_mut()?, other.numbers(), |a, b| a + b),
                (None, Some(_)) => sum.clone_from(other),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn wants(&self, id: usize) -> bool {
        self.trained[id]
    }

    /// Writes the gradient of a parameter, or adds it, if another node that shares the parameter was there before.
    pub(super) fn put(
        &mut self,
        pool: &Pool,
        gradient: GradientOf,
        write: impl FnOnce(&mut [f32]),
    ) -> Result<(), ExecError> {
        let GradientOf { id, length } = gradient;
        if !self.trained[id] {
            return Ok(());
        }
        let mut gradient = pool.take(length)?;
        write(gradient.numbers_mut()?);
        self.put_array(id, gradient)
    }

    /// The same with a gradient that there is already.
    pub(super) fn put_array(&mut self, id: usize, gradient: Array) -> Result<(), ExecError> {
        self.of[id] = Some(match self.of[id].take() {
            None => gradient,
            Some(mut sum) => {
                elementwise::update(sum.numbers_mut()?, gradient.numbers(), |a, b| a + b);
                sum
            }
        });
        Ok(())
    }
}
