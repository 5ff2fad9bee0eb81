//! The ranges of a schedule's numbers.

use thiserror::Error;

use super::{Ramp, Schedule};

/// A number of a schedule out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("`{option}` of the learning rate's schedule must be {wanted}")]
pub struct ScheduleError {
    /// The option's name.
    pub option: &'static str,
    /// The allowed range.
    pub wanted: &'static str,
}

impl Schedule {
    /// Checks that every rate will be finite and none negative.
    ///
    /// # Errors
    /// [`ScheduleError`] naming the first that does not.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        match *self {
            Schedule::Constant { rate: number } => rate("rate", number),
            Schedule::Step { rate: number, gamma, .. } => rate("rate", number).and(factor("gamma", gamma)),
            Schedule::Staircase { rate: number, factor: by, every }
            | Schedule::Exponential { rate: number, factor: by, every } => {
                rate("rate", number).and(factor("factor", by)).and(count("every", every))
            }
            Schedule::Cosine { rate: number, end, steps } => {
                rate("rate", number).and(rate("end", end)).and(count("steps", steps))
            }
            Schedule::OneCycle { rate: number, steps, rise, start_divisor, end_divisor } => {
                let share = check((0.0..1.0).contains(&rise), "rise", "a share from 0 to 1, 1 excluded");
                let divisors = divisor("start_divisor", start_divisor).and(divisor("end_divisor", end_divisor));
                rate("rate", number).and(count("steps", steps)).and(share).and(divisors)
            }
            Schedule::Polynomial { rate: number, end, steps, power } => {
                let power = check(power.is_finite() && power > 0.0, "power", "a positive number");
                rate("rate", number).and(rate("end", end)).and(count("steps", steps)).and(power)
            }
            Schedule::WarmUp { ramp: Ramp::From(number) | Ramp::Hold(number), ref then, .. } => {
                rate("ramp", number).and_then(|()| then.validate())
            }
        }
    }
}

pub(super) fn rate(option: &'static str, rate: f64) -> Result<(), ScheduleError> {
    check(rate.is_finite() && rate >= 0.0, option, "zero or more")
}

fn factor(option: &'static str, factor: f64) -> Result<(), ScheduleError> {
    check(factor > 0.0 && factor <= 1.0, option, "above 0 and 1 at most")
}

fn divisor(option: &'static str, divisor: f64) -> Result<(), ScheduleError> {
    check(divisor.is_finite() && divisor > 0.0, option, "a positive number")
}

fn count(option: &'static str, count: u64) -> Result<(), ScheduleError> {
    check(count > 0, option, "at least 1")
}

pub(super) fn check(right: bool, option: &'static str, wanted: &'static str) -> Result<(), ScheduleError> {
    if right { Ok(()) } else { Err(ScheduleError { option, wanted }) }
}
