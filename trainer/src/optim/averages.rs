//! A moving average of the weights.

use serde::{Deserialize, Serialize};

use super::elementwise::along_one;
use super::{OptimError, ParamTensors, fits};

/// How weights are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaOptions {
    /// The share of the average that stays at each update, 0..1.
    pub decay: f64,
    /// How the average begins.
    #[serde(default)]
    pub warm_up: EmaWarmUp,
}

/// How an average begins, while it still holds what was there before training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmaWarmUp {
    /// With the whole decay, as torchvision's.
    #[default]
    None,
    /// With `min(decay, (1 + t)/(10 + t))`, `t` counting the updates before this one, as TensorFlow's
    /// `ExponentialMovingAverage` with `num_updates`.
    Counted,
}

/// `average = decay·average + (1 - decay)·weight`, for each tensor of a network.
///
/// Give it the running statistics of batch normalization among the tensors: averaged weights make averaged activations,
/// whose statistics the last weights' are not. torchvision's training reference averages them in the same way
/// (`ExponentialMovingAverage` with `use_buffers=True`).
#[derive(Debug, Clone, PartialEq)]
pub struct Ema {
    options: EmaOptions,
    averages: Vec<Vec<f32>>,
    updates: u64,
}

impl Ema {
    /// An average that begins as these tensors. PyTorch's `AveragedModel` begins as the weights after the first step.
    #[must_use]
    pub fn new<'a>(options: EmaOptions, tensors: impl IntoIterator<Item = &'a [f32]>) -> Self {
        Self { options, averages: tensors.into_iter().map(<[f32]>::to_vec).collect(), updates: 0 }
    }

    /// Takes in the weights after a step, in the order of the beginning.
    ///
    /// # Errors
    /// [`OptimError::Length`], [`OptimError::Tensors`]; nothing has changed then.
    pub fn update(&mut self, tensors: &[&[f32]]) -> Result<(), OptimError> {
        fits(&self.averages, tensors, "tensor of weights")?;
        let fresh = self.options.fresh(self.updates);
        for (averages, tensor) in self.averages.iter_mut().zip(tensors) {
            // What changes are the averages here, by the weights.
            let tensors = ParamTensors { weights: averages, gradient: tensor };
            along_one(tensors, |average, weight| *average += fresh * (weight - *average));
        }
        self.updates += 1;
        Ok(())
    }

    /// The averages, in the order of the tensors.
    pub fn averages(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.averages.iter().map(Vec::as_slice)
    }

    /// The averages, to be exchanged with the weights or to be restored.
    pub fn averages_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f32]> {
        self.averages.iter_mut().map(Vec::as_mut_slice)
    }

    /// Continues as after so many updates.
    pub fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// How often it was updated.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }
}

impl EmaOptions {
    /// The share of the weights in the average after so many updates.
    pub(crate) fn fresh(self, updates: u64) -> f32 {
        let t = updates as f64;
        let decay = match self.warm_up {
            EmaWarmUp::None => self.decay,
            EmaWarmUp::Counted => self.decay.min((1.0 + t) / (10.0 + t)),
        };
        (1.0 - decay) as f32
    }
}
