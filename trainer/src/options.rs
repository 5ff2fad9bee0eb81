//! Bounds of numeric options, and the error for numbers outside them.

use thiserror::Error;

/// The largest image that is read unless an option says otherwise, in millions of pixels.
pub(crate) const MAX_MEGAPIXELS: u64 = 50;

/// A numeric option is out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("`{option}` must be {wanted}")]
pub struct OptionError {
    /// The option's name, with the path to it: `tuning.stages`.
    pub option: &'static str,
    /// The allowed values, as the end of a sentence.
    pub wanted: &'static str,
}

/// The bounds of one numeric option of `O`.
#[derive(Debug, Clone, Copy)]
pub struct Bound<O> {
    /// The option's name, with the path to it.
    pub option: &'static str,
    /// The allowed values.
    pub interval: Interval,
    wanted: &'static str,
    value: fn(&O) -> f64,
}

impl<O> Bound<O> {
    /// `wanted` says the interval in words, as the end of a sentence.
    pub(crate) const fn new(
        option: &'static str,
        interval: Interval,
        wanted: &'static str,
        value: fn(&O) -> f64,
    ) -> Self {
        Self { option, interval, wanted, value }
    }
}

/// An interval of finite numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub lower: Limit,
    /// The upper end, if there is one.
    pub upper: Option<Limit>,
}

/// One end of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// The number itself is allowed.
    Inclusive(f64),
    /// The number itself is not allowed.
    Exclusive(f64),
}

impl Interval {
    pub(crate) const fn at_least(number: f64) -> Self {
        Self { lower: Limit::Inclusive(number), upper: None }
    }

    pub(crate) const fn above(number: f64) -> Self {
        Self { lower: Limit::Exclusive(number), upper: None }
    }

    pub(crate) const fn at_most(self, number: f64) -> Self {
        Self { upper: Some(Limit::Inclusive(number)), ..self }
    }

    pub(crate) const fn below(self, number: f64) -> Self {
        Self { upper: Some(Limit::Exclusive(number)), ..self }
    }

    fn contains(self, number: f64) -> bool {
        let above = match self.lower {
            Limit::Inclusive(limit) => number >= limit,
            Limit::Exclusive(limit) => number > limit,
        };
        let below = match self.upper {
            None => true,
            Some(Limit::Inclusive(limit)) => number <= limit,
            Some(Limit::Exclusive(limit)) => number < limit,
        };
        number.is_finite() && above && below
    }
}

/// Checks options against their table of bounds.
///
/// # Errors
/// [`OptionError`] naming the first that is out of bounds.
pub(crate) fn check_bounds<O>(bounds: &[Bound<O>], options: &O) -> Result<(), OptionError> {
    match bounds.iter().find(|bound| !bound.interval.contains((bound.value)(options))) {
        Some(&Bound { option, wanted, .. }) => Err(OptionError { option, wanted }),
        None => Ok(()),
    }
}

/// Checks conditions that are not bounds: whether each holds, its option's name, and the allowed values.
///
/// # Errors
/// [`OptionError`] naming the first that does not hold.
pub(crate) fn check(table: &[(bool, &'static str, &'static str)]) -> Result<(), OptionError> {
    match table.iter().find(|(right, ..)| !right) {
        Some(&(_, option, wanted)) => Err(OptionError { option, wanted }),
        None => Ok(()),
    }
}
