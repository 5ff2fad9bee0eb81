//! The arithmetic of the rules, one pass over memory each.

use crate::options;
use serde::{Deserialize, Serialize};

use super::elementwise::{along_one, along_three, along_two};
use super::{OptimError, ParamTensors};

/// How a gradient changes a weight. Weight decay and multipliers of the learning rate are not the rule's but each
/// parameter's; see [`Groups`](super::Groups).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerKind {
    /// `g += decay·w; v = momentum·v + g; w -= rate·v`, or with Nesterov's look-ahead `w -= rate·(g + momentum·v)`.
    ///
    /// `torch.optim.SGD` without dampening and TensorFlow's `MomentumOptimizer` are this same rule: both keep the rate
    /// out of the velocity, so a change of rate acts at once on all of it. Caffe and Keras have it inside
    /// (`v = momentum·v - rate·g; w += v`), which is another rule as soon as the rate changes.
    Sgd {
        /// The share of the velocity that stays, 0..1. At 0 none is kept.
        #[serde(default = "momentum")]
        momentum: f64,
        /// Whether to look ahead; then the momentum is above 0.
        #[serde(default)]
        nesterov: bool,
    },
    /// TensorFlow 1's `RMSPropOptimizer`, not centred:
    /// `g += decay·w; s += (1 - rho)·(g² - s); v = momentum·v + rate·g/√(s + epsilon); w -= v`. The mean square begins
    /// at one, epsilon is inside the root and the rate inside the velocity; `torch.optim.RMSprop` differs in all three.
    #[serde(rename = "rmsprop")]
    RmsProp {
        /// The share of the mean square that stays, 0..1; TensorFlow calls it decay.
        #[serde(default = "rho")]
        rho: f64,
        /// The share of the velocity that stays, 0..1.
        #[serde(default)]
        momentum: f64,
        /// Added to the mean square.
        #[serde(default = "small")]
        epsilon: f64,
    },
    /// `torch.optim.AdamW` (Loshchilov and Hutter 2019): means of the gradient and of its square, corrected for their
    /// beginning at zero; decay shrinks the weights and is not part of the gradient.
    #[serde(rename = "adamw")]
    AdamW {
        /// The share of the mean that stays, 0..1.
        #[serde(default = "beta1")]
        beta1: f64,
        /// The share of the mean square that stays, 0..1.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the root of the mean square.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
}

/// What one application of a rule needs to know beside the weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Application {
    pub(crate) rate: f64,
    pub(crate) weight_decay: f64,
    /// Every gradient is multiplied by it first.
    pub(crate) gradient_scale: f32,
    /// How often the rule has been applied to these weights, this time among them.
    pub(crate) count: u64,
}

impl OptimizerKind {
    /// The defaults of tflearn: rho 0.9, no momentum, epsilon 1e-10.
    #[must_use]
    pub fn rmsprop() -> Self {
        OptimizerKind::RmsProp { rho: rho(), momentum: 0.0, epsilon: small() }
    }

    /// PyTorch's defaults: 0.9, 0.999, epsilon 1e-8.
    #[must_use]
    pub fn adamw() -> Self {
        OptimizerKind::AdamW { beta1: beta1(), beta2: beta2(), epsilon: epsilon() }
    }

    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`OptimError::Option`] naming the first that does not.
    pub fn validate(&self) -> Result<(), OptimError> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        let wanted = "a share from 0 to 1, 1 excluded";
        let table = match *self {
            OptimizerKind::Sgd { momentum, nesterov } => vec![
                (share(momentum), "momentum", wanted),
                (!nesterov || momentum > 0.0, "momentum", "above 0 with `nesterov`"),
            ],
            OptimizerKind::RmsProp { rho, momentum, epsilon } => vec![
                (share(rho), "rho", wanted),
                (share(momentum), "momentum", wanted),
                (epsilon.is_finite() && epsilon >= 0.0, "epsilon", "zero or more"),
            ],
            OptimizerKind::AdamW { beta1, beta2, epsilon } => vec![
                (share(beta1), "beta1", wanted),
                (share(beta2), "beta2", wanted),
                (epsilon.is_finite() && epsilon >= 0.0, "epsilon", "zero or more"),
            ],
        };
        Ok(options::check(&table)?)
    }

    /// What it keeps for each weight: a name, and the number it begins with.
    pub(crate) fn slots(&self) -> &'static [(&'static str, f32)] {
        match self {
            OptimizerKind::Sgd { momentum: 0.0, .. } => &[],
            OptimizerKind::Sgd { .. } => &[("momentum", 0.0)],
            OptimizerKind::RmsProp { momentum: 0.0, .. } => &[("rms", 1.0)],
            OptimizerKind::RmsProp { .. } => &[("rms", 1.0), ("momentum", 0.0)],
            OptimizerKind::AdamW { .. } => &[("exp_avg", 0.0), ("exp_avg_sq", 0.0)],
        }
    }

    /// Changes the weights and the slots, which are those of [`OptimizerKind::slots`], each as long as the weights.
    pub(super) fn apply(&self, tensors: ParamTensors<'_>, slots: &mut [Vec<f32>], now: Application) {
        let (rate, decay, scale) = (now.rate as f32, now.weight_decay as f32, now.gradient_scale);
        match (*self, slots) {
            (OptimizerKind::Sgd { .. }, []) => along_one(tensors, |w, g| *w -= rate * (g * scale + decay * *w)),
            (OptimizerKind::Sgd { momentum, nesterov: false }, [velocity]) => {
                let momentum = momentum as f32;
                along_two(tensors, velocity, |w, g, v| {
                    *v = momentum * *v + (g * scale + decay * *w);
                    *w -= rate * *v;
                });
            }
            (OptimizerKind::Sgd { momentum, nesterov: true }, [velocity]) => {
                let momentum = momentum as f32;
                along_two(tensors, velocity, |w, g, v| {
                    let g = g * scale + decay * *w;
                    *v = momentum * *v + g;
                    *w -= rate * (g + momentum * *v);
                });
            }
            (OptimizerKind::RmsProp { rho, epsilon, .. }, [rms]) => {
                let (fresh, epsilon) = (1.0 - rho as f32, epsilon as f32);
                along_two(tensors, rms, |w, g, s| {
                    let g = g * scale + decay * *w;
                    *s += (g * g - *s) * fresh;
                    *w -= rate * g / (*s + epsilon).sqrt();
                });
            }
            (OptimizerKind::RmsProp { rho, momentum, epsilon }, [rms, velocity]) => {
                let (fresh, momentum, epsilon) = (1.0 - rho as f32, momentum as f32, epsilon as f32);
                along_three(tensors, rms, velocity, |w, g, s, v| {
                    let g = g * scale + decay * *w;
                    *s += (g * g - *s) * fresh;
                    *v = momentum * *v + rate * g / (*s + epsilon).sqrt();
                    *w -= *v;
                });
            }
            (OptimizerKind::AdamW { beta1, beta2, epsilon }, [mean, square]) => {
                let count = now.count as f64;
                let step = (now.rate / (1.0 - beta1.powf(count))) as f32;
                let root = (1.0 - beta2.powf(count)).sqrt() as f32;
                let shrink = (1.0 - now.rate * now.weight_decay) as f32;
                let (fresh1, beta2, fresh2, epsilon) =
                    ((1.0 - beta1) as f32, beta2 as f32, (1.0 - beta2) as f32, epsilon as f32);
                along_three(tensors, mean, square, |w, g, m, s| {
                    let g = g * scale;
                    *m += fresh1 * (g - *m);
                    *s = beta2 * *s + fresh2 * g * g;
                    *w = shrink * *w - step * *m / (s.sqrt() / root + epsilon);
                });
            }
            // `slots` has as many as `OptimizerKind::slots` says; there is nothing to change with any other number.
            _ => debug_assert!(false, "{self:?} with the slots of another rule"),
        }
    }
}

fn momentum() -> f64 {
    0.9
}

fn rho() -> f64 {
    0.9
}

fn small() -> f64 {
    1e-10
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn epsilon() -> f64 {
    1e-8
}
