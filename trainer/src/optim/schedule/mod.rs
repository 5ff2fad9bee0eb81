//! Learning rates over time.

mod plateau;
#[cfg(test)]
mod tests;
mod validate;

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

pub use plateau::{Plateau, PlateauOptions};
pub use validate::ScheduleError;

/// The learning rate as a pure function of the step: whoever resumes a run needs nothing but the step's number.
///
/// Every count is of steps, the first step being number 0; [`Schedule::in_steps`] converts one that is written in
/// epochs. Behind its end a schedule stays at its last rate. Rates are finite when [`Schedule::validate`] finds no
/// fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// What every step has.
        rate: f64,
    },
    /// `rate · gamma^(milestones reached)`, as `torch.optim.lr_scheduler.MultiStepLR`.
    Step {
        /// The first rate.
        rate: f64,
        /// The steps from which on the rate is another, in any order.
        milestones: Vec<u64>,
        /// What the rate is multiplied by at each.
        #[serde(default = "tenth")]
        gamma: f64,
    },
    /// `rate · factor^⌊step / every⌋`, as `tf.compat.v1.train.exponential_decay` with `staircase=True`.
    Staircase {
        /// The first rate.
        rate: f64,
        /// What the rate is multiplied by.
        factor: f64,
        /// How many steps a stair has, 1 or more.
        every: u64,
    },
    /// `rate · factor^(step / every)`, as `tf.compat.v1.train.exponential_decay`; with `every` 1, `ExponentialLR`.
    Exponential {
        /// The first rate.
        rate: f64,
        /// What the rate has been multiplied by after `every` steps.
        factor: f64,
        /// Over how many steps, 1 or more.
        every: u64,
    },
    /// Half a cosine from `rate` to `end`, as `CosineAnnealingLR` (Loshchilov and Hutter 2017, equation 5).
    Cosine {
        /// The first rate.
        rate: f64,
        /// The last rate.
        #[serde(default)]
        end: f64,
        /// After how many steps it is reached.
        steps: u64,
    },
    /// Up and down again along cosines, as `OneCycleLR` (Smith and Topin 2018) without its change of momentum.
    OneCycle {
        /// The highest rate.
        rate: f64,
        /// The length of the cycle; the last rate is reached at step `steps - 1`.
        steps: u64,
        /// The share of the steps in which the rate rises, 0..1.
        #[serde(default = "rise")]
        rise: f64,
        /// The first rate is `rate / start_divisor`.
        #[serde(default = "start_divisor")]
        start_divisor: f64,
        /// The last rate is the first divided by this.
        #[serde(default = "end_divisor")]
        end_divisor: f64,
    },
    /// `(rate - end) · (1 - step/steps)^power + end`, as TensorFlow's `polynomial_decay`.
    Polynomial {
        /// The first rate.
        rate: f64,
        /// The last rate.
        #[serde(default)]
        end: f64,
        /// After how many steps it is reached.
        steps: u64,
        /// 1 is a straight line.
        #[serde(default = "one")]
        power: f64,
    },
    /// Another schedule behind gentler steps.
    WarmUp {
        /// How many gentler steps there are.
        steps: u64,
        /// How the rate rises over them.
        ramp: Ramp,
        /// How the schedule behind them counts.
        #[serde(default)]
        clock: Clock,
        /// What comes after them.
        then: Box<Schedule>,
    },
}

/// The rate while a run warms up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ramp {
    /// A straight line from this rate to the first of the schedule behind, as `LinearLR` followed by it in
    /// `SequentialLR`.
    From(f64),
    /// This rate throughout. He et al. 2015, section 4.2, start 110 layers at 0.01 until the training error is below
    /// 80 %, "about 400 iterations", and go on at 0.1.
    Hold(f64),
}

/// What the schedule behind a warm-up takes for step 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The end of the warm-up, as `SequentialLR`: nothing of the schedule is left out, and it ends later.
    #[default]
    Restarted,
    /// The beginning of the run: milestones stay where they are.
    Shared,
}

impl Schedule {
    /// The learning rate of a step, counted from 0.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        let done = |steps: u64| share(step, steps);
        match *self {
            Schedule::Constant { rate } => rate,
            Schedule::Step { rate, ref milestones, gamma } => {
                let reached = milestones.iter().filter(|&&milestone| step >= milestone).count();
                rate * gamma.powf(reached as f64)
            }
            Schedule::Staircase { rate, factor, every } => rate * factor.powf((step / every.max(1)) as f64),
            Schedule::Exponential { rate, factor, every } => rate * factor.powf(step as f64 / every.max(1) as f64),
            Schedule::Cosine { rate, end, steps } => cosine(rate, end, done(steps)),
            Schedule::OneCycle { rate, steps, rise, start_divisor, end_divisor } => {
                let (first, last) = (rate / start_divisor, rate / start_divisor / end_divisor);
                let (top, end) = (rise * steps as f64 - 1.0, steps as f64 - 1.0);
                let step = (step as f64).min(end);
                if step < top {
                    cosine(first, rate, step / top)
                } else {
                    cosine(rate, last, (step - top) / (end - top))
                }
            }
            Schedule::Polynomial { rate, end, steps, power } => (rate - end) * (1.0 - done(steps)).powf(power) + end,
            Schedule::WarmUp { steps, ramp, ref then, .. } if step < steps => match ramp {
                Ramp::Hold(rate) => rate,
                Ramp::From(rate) => rate + (then.at(0) - rate) * done(steps),
            },
            Schedule::WarmUp { steps, clock: Clock::Restarted, ref then, .. } => then.at(step - steps),
            Schedule::WarmUp { clock: Clock::Shared, ref then, .. } => then.at(step),
        }
    }

    /// A schedule whose counts are of epochs as one whose counts are of steps: each is multiplied by the steps of an
    /// epoch, [`LastBatch::count`](crate::data::sampling::LastBatch::count).
    #[must_use]
    pub fn in_steps(mut self, steps_per_epoch: u64) -> Self {
        let scale = |count: &mut u64| *count = count.saturating_mul(steps_per_epoch);
        match &mut self {
            Schedule::Constant { .. } => {}
            Schedule::Step { milestones, .. } => milestones.iter_mut().for_each(scale),
            Schedule::Staircase { every: count, .. }
            | Schedule::Exponential { every: count, .. }
            | Schedule::Cosine { steps: count, .. }
            | Schedule::OneCycle { steps: count, .. }
            | Schedule::Polynomial { steps: count, .. } => scale(count),
            Schedule::WarmUp { steps, then, .. } => {
                scale(steps);
                **then = std::mem::replace(&mut **then, Schedule::Constant { rate: 0.0 }).in_steps(steps_per_epoch);
            }
        }
        self
    }
}

/// How much of so many steps is behind, 0..1.
fn share(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}

/// Half a cosine from one rate to another; `share` of it is behind.
fn cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

fn tenth() -> f64 {
    0.1
}

fn rise() -> f64 {
    0.3
}

fn start_divisor() -> f64 {
    25.0
}

fn end_divisor() -> f64 {
    1e4
}

fn one() -> f64 {
    1.0
}
