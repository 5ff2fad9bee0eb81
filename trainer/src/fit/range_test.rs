//! Which learning rates a network learns at.

use serde::{Deserialize, Serialize};

use super::training::Training;
use super::{FitError, Logs, Task};
use crate::events::{Event, Observer, Phase};
use crate::options;

/// How rates are tried (Smith 2017, "Cyclical learning rates for training neural networks", section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RangeOptions {
    /// The first rate.
    pub low: f64,
    /// The last, which is seldom reached.
    pub high: f64,
    /// How many steps, each at a rate that is higher by the same factor.
    pub steps: u64,
    /// The share of the old mean in the smoothed loss, 0..1.
    pub smoothing: f64,
    /// The test ends when the smoothed loss is so many times the lowest.
    pub explosion: f64,
}

/// The losses along the rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeTest {
    /// One for each step, at rising rates.
    pub probes: Vec<Probe>,
    /// Rates to begin with; `None` if the loss fell nowhere.
    pub suggestion: Option<Suggestion>,
}

/// A step at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The learning rate.
    pub rate: f64,
    /// The batch's mean loss before the step.
    pub loss: f64,
    /// The mean of the losses so far, the older the less, corrected for its beginning at zero.
    pub smoothed: f64,
}

/// Rates to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Where the smoothed loss falls fastest along the logarithm of the rate.
    pub steepest: f64,
    /// A tenth of the rate at which it is lowest.
    pub tenth_of_lowest: f64,
}

impl Default for RangeOptions {
    /// From 1e-7 to 10 in 100 steps, smoothed by 0.9, until the loss is four times the lowest.
    fn default() -> Self {
        Self { low: 1e-7, high: 10.0, steps: 100, smoothing: 0.9, explosion: 4.0 }
    }
}

impl RangeOptions {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`FitError::Option`] naming the first that does not.
    pub fn validate(&self) -> Result<(), FitError> {
        let table = [
            (self.low.is_finite() && self.low > 0.0, "low", "a positive number"),
            (self.high.is_finite() && self.high > self.low, "high", "above the lowest rate"),
            (self.steps >= 2 * EDGE as u64, "steps", "at least 10"),
            ((0.0..1.0).contains(&self.smoothing), "smoothing", "a share from 0 to 1, 1 excluded"),
            (self.explosion > 1.0, "explosion", "above 1"),
        ];
        Ok(options::check(&table)?)
    }

    /// The rate of a step, counted from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        self.low * (self.high / self.low).powf(step as f64 / (self.steps - 1) as f64)
    }
}

/// Trains at rising rates until the loss explodes. Everything else is as the task says; its schedule, validation,
/// checkpoints and logs are left out.
///
/// # Errors
/// [`FitError`]; a loss that is no number ends the test and is no error.
pub fn range_test(task: &Task<'_>, options: &RangeOptions, observer: &mut dyn Observer) -> Result<RangeTest, FitError> {
    options.validate()?;
    let (examples, fit) = (task.training, task.options);
    let Task { graph, params, trains, label_sets, teacher, backend, .. } = *task;
    let alone = Task {
        graph,
        params,
        trains,
        training: examples,
        label_sets,
        teacher,
        validation: None,
        options: fit,
        backend,
        checkpoints: None,
        logs: Logs::default(),
    };
    let mut training = Training::start(alone)?;
    observer.event(Event::Phase { phase: Phase::Training });
    let mut probes: Vec<Probe> = Vec::new();
    let mut mean = 0.0;
    for epoch in 0.. {
        let order = fit.order(examples.classes(), epoch);
        if order.is_empty() {
            return Err(FitError::Empty { examples: examples.classes().len(), batch_size: fit.batch_size });
        }
        for batch in examples.epoch(order, epoch, fit.batch_size) {
            if observer.stopped() {
                return Err(FitError::Stopped);
            }
            let step = probes.len() as u64;
            let rate = options.rate(step);
            let loss = match training.probe(batch?, rate) {
                Ok(loss) => loss,
                Err(FitError::Diverged { .. }) => return Ok(RangeTest::new(probes)),
                Err(error) => return Err(error),
            };
            mean = options.smoothing * mean + (1.0 - options.smoothing) * loss;
            let smoothed = mean / (1.0 - options.smoothing.powf((step + 1) as f64));
            probes.push(Probe { rate, loss, smoothed });
            observer.event(Event::Progress { phase: Phase::Training, done: step + 1, total: options.steps });
            let lowest = probes.iter().map(|probe| probe.smoothed).fold(f64::INFINITY, f64::min);
            if smoothed > options.explosion * lowest || step + 1 == options.steps {
                return Ok(RangeTest::new(probes));
            }
        }
    }
    Ok(RangeTest::new(probes))
}

/// Steps at the beginning whose smoothed loss is of too few to be a slope's.
const EDGE: usize = 5;

impl RangeTest {
    fn new(probes: Vec<Probe>) -> Self {
        let suggestion = suggestion(&probes);
        Self { probes, suggestion }
    }
}

fn suggestion(probes: &[Probe]) -> Option<Suggestion> {
    let behind = probes.get(EDGE..)?;
    let lowest = (0..behind.len()).min_by(|&a, &b| behind[a].smoothed.total_cmp(&behind[b].smoothed))?;
    let slope = |at: usize| {
        let [before, after] = [behind[at - 1], behind[at + 1]];
        (after.smoothed - before.smoothed) / (after.rate / before.rate).ln()
    };
    let steepest = (1..lowest).min_by(|&a, &b| slope(a).total_cmp(&slope(b)))?;
    let tenth_of_lowest = behind[lowest].rate / 10.0;
    (slope(steepest) < 0.0).then_some(Suggestion { steepest: behind[steepest].rate, tenth_of_lowest })
}

#[cfg(test)]
mod tests {
    use models::ops::{Linear, Shape};
    use models::{GraphBuilder, init};

    use super::*;
    use crate::backend::ComputeBackend;
    use crate::events::Unobserved;
    use crate::fit::{FeatureExamples, FitOptions};
    use crate::optim::OptimizerKind;

    /// Two classes that a line divides, with numbers about ±1.
    fn tested(options: &RangeOptions) -> RangeTest {
        let mut builder = GraphBuilder::new("x", Shape::new([2]));
        let head = Linear { in_features: 2, out_features: 2, bias: true };
        let head = builder.push("head", head, &[builder.input()]).unwrap();
        let graph = builder.finish(head);
        let classes: Vec<usize> = (0..64).map(|example| example % 2).collect();
        // A quarter is on the wrong side, so that no rate makes the loss vanish.
        let side = |example: usize| if (example % 2 == 1) == (example % 8 < 6) { 1.0 } else { -1.0 };
        let numbers = (0..64).flat_map(|example| [side(example), 0.1 * (example % 5) as f32]).collect();
        let training = FeatureExamples::new(vec![numbers], classes, 0);
        let fit = FitOptions {
            batch_size: 16,
            optimizer: OptimizerKind::Sgd { momentum: 0.0, nesterov: false },
            ..FitOptions::default()
        };
        let task = Task {
            graph: &graph,
            params: &init::he(&graph, 3),
            trains: &|_| true,
            training: &training,
            label_sets: None,
            teacher: None,
            validation: None,
            options: &fit,
            backend: &ComputeBackend::Rust,
            checkpoints: None,
            logs: Logs::default(),
        };
        range_test(&task, options, &mut Unobserved).unwrap()
    }

    #[test]
    fn the_loss_of_a_line_falls_and_explodes_and_the_suggestion_is_between() {
        let options = RangeOptions { low: 1e-5, high: 1e4, steps: 200, ..RangeOptions::default() };
        let found = tested(&options);
        assert!(found.probes.len() < 200, "it went on behind the explosion");
        assert!((found.probes[0].rate - 1e-5).abs() < 1e-18 && (options.rate(199) - 1e4).abs() < 1e-6);
        let Suggestion { steepest, tenth_of_lowest } = found.suggestion.unwrap();
        // The loss of logistic regression on numbers about one falls for rates up to a few units; 2 over the largest
        // curvature, 1/2 for such numbers, is 4, and exploding losses begin behind it.
        let lowest = 10.0 * tenth_of_lowest;
        assert!(steepest > 1e-3 && steepest < lowest && lowest < 50.0, "{found:?}");
        let (first, last) = (found.probes[0].smoothed, found.probes[found.probes.len() - 1].smoothed);
        let least = found.probes.iter().map(|probe| probe.smoothed).fold(f64::INFINITY, f64::min);
        assert!(least < first && last > 4.0 * least, "{first} {least} {last}");
    }

    #[test]
    fn rates_at_which_nothing_happens_suggest_nothing_much() {
        let found = tested(&RangeOptions { low: 1e-12, high: 1e-11, steps: 40, ..RangeOptions::default() });
        assert_eq!(found.probes.len(), 40);
        assert!(found.suggestion.is_none_or(|suggestion| suggestion.steepest < 1e-10));
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        let refused = |options: RangeOptions| match options.validate() {
            Err(FitError::Option(options::OptionError { option, .. })) => option,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(RangeOptions { low: 0.0, ..RangeOptions::default() }), "low");
        assert_eq!(refused(RangeOptions { high: 1e-8, ..RangeOptions::default() }), "high");
        assert_eq!(refused(RangeOptions { steps: 3, ..RangeOptions::default() }), "steps");
    }
}
