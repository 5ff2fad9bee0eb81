//! How far a run is and how long it still takes, from its events.
//!
//! A run says beforehand how long it expects each phase to take ([`Event::Estimate`]). Within a phase the expectation gives
//! way to what is measured: after a tenth of it the measured pace alone counts. The comparison of engines does with a few images what
//! the features take for all, so that it is expected to be as much faster or slower than was said as they are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::events::{Event, Phase, PhaseEstimate};

/// The share of a phase after which its measured pace alone counts.
const TRUSTED: f64 = 0.1;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobProgress))]
pub struct RunProgress {
    /// The current phase.
    pub phase: Phase,
    /// Images or epochs of it that are done.
    #[cfg_attr(feature = "openapi", schema(example = 512))]
    pub done: u64,
    /// Images or epochs of it in all; 0 if unknown.
    #[cfg_attr(feature = "openapi", schema(example = 1360))]
    pub total: u64,
    /// The share of the whole run that is over, 0 to 1, by time. It never falls.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = 0.42))]
    pub fraction: f64,
    /// How many seconds the run still takes, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 31.0))]
    pub seconds_left: Option<f64>,
    /// Images a second in the current phase, once they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 95.5))]
    pub images_per_second: Option<f64>,
}

/// Follows a run by its events.
#[derive(Debug, Clone, Default)]
pub struct Estimator {
    expected: Vec<PhaseEstimate>,
    current: Option<Stage>,
    fraction: f64,
    /// How many times as long as expected the features take, once that is measured.
    slowness: Option<f64>,
}

/// The phase that a run is in.
#[derive(Debug, Clone, Copy)]
struct Stage {
    phase: Phase,
    began: Duration,
    /// What was there when the phase began to count, such as cached features, and when.
    start: Option<Mark>,
    now: Mark,
    total: u64,
    images_per_second: Option<f64>,
}

/// A point of a phase.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Duration,
    done: u64,
    /// Of the whole phase, 0 to 1.
    share: f64,
}

impl Estimator {
    /// Takes an event that happened so long after the run began. The answer is how far the run is, if the event says
    /// something about it.
    pub fn update(&mut self, event: &Event, at: Duration) -> Option<RunProgress> {
        match event {
            Event::Estimate { phases } => self.expected.clone_from(phases),
            Event::Phase { phase } => self.enter(*phase, at),
            Event::Progress { phase, done, total } => {
                self.advance(*phase, *total, Mark { at, done: *done, share: share(*done as f64, *total) });
                if matches!(phase, Phase::Data | Phase::Features | Phase::Quantization | Phase::Evaluation)
                    && let Some(stage) = &mut self.current
                {
                    stage.images_per_second = stage.pace(|mark| mark.done as f64);
                }
            }
            Event::Step { epoch, epochs, images_per_second, seconds_left, .. } => {
                let phase = self.training_phase();
                self.advance(phase, *epochs, Mark { at, done: epoch.saturating_sub(1), share: 0.0 });
                if let Some(stage) = &mut self.current {
                    let elapsed = at.saturating_sub(stage.began).as_secs_f64();
                    stage.now.share = elapsed / (elapsed + seconds_left.max(0.0)).max(f64::MIN_POSITIVE);
                    stage.images_per_second = images_per_second.is_finite().then_some(*images_per_second);
                }
            }
            Event::Epoch { epoch, epochs, .. } => {
                let (phase, done, total) = (self.training_phase(), *epoch as u64, *epochs as u64);
                self.advance(phase, total, Mark { at, done, share: share(done as f64, total) });
            }
            _ => return None,
        }
        self.progress(at)
    }

    fn enter(&mut self, phase: Phase, at: Duration) {
        let now = Mark { at, ..Mark::default() };
        self.current = Some(Stage { phase, began: at, start: None, now, total: 0, images_per_second: None });
    }

    fn advance(&mut self, phase: Phase, total: u64, mark: Mark) {
        if self.current.is_none_or(|stage| stage.phase != phase) {
            self.enter(phase, mark.at);
        }
        if let Some(stage) = &mut self.current {
            (stage.now, stage.total) = (mark, total);
            stage.start.get_or_insert(Mark { at: stage.began, ..mark });
        }
    }

    /// The phase whose steps and epochs are reported.
    fn training_phase(&self) -> Phase {
        let current = self.current.map(|stage| stage.phase);
        current.filter(|phase| matches!(phase, Phase::Training | Phase::Tuning)).unwrap_or(Phase::Training)
    }

    fn progress(&mut self, at: Duration) -> Option<RunProgress> {
        let stage = self.current?;
        if stage.phase == Phase::Features {
            let expected = self.expected.iter().find(|estimate| estimate.phase == stage.phase);
            self.slowness = expected.and_then(|estimate| stage.slowness(estimate.seconds)).or(self.slowness);
        }
        let seconds_left = self.seconds_left(&stage, at);
        if let Some(left) = seconds_left {
            let elapsed = at.as_secs_f64();
            self.fraction = self.fraction.max(elapsed / (elapsed + left).max(f64::MIN_POSITIVE));
        }
        Some(RunProgress {
            phase: stage.phase,
            done: stage.now.done,
            total: stage.total,
            fraction: self.fraction,
            seconds_left,
            images_per_second: stage.images_per_second,
        })
    }

    /// What is left of the phase and the phases behind it. Unknown before the run has said what it expects, unless the phase
    /// is the last and measured.
    fn seconds_left(&self, stage: &Stage, at: Duration) -> Option<f64> {
        let position = self.expected.iter().position(|estimate| estimate.phase == stage.phase);
        let expected = position.map(|position| self.expected_seconds(&self.expected[position]));
        let later = match position {
            Some(position) => &self.expected[position + 1..],
            None => &self.expected[..],
        };
        // A phase that nobody spoke of may come before all others; only an evaluation has none behind it.
        if expected.is_none() && stage.phase != Phase::Evaluation && self.expected.is_empty() {
            return None;
        }
        let own = stage.left(expected, at)?;
        Some(own + later.iter().map(|estimate| self.expected_seconds(estimate)).sum::<f64>())
    }

    fn expected_seconds(&self, PhaseEstimate { phase, seconds }: &PhaseEstimate) -> f64 {
        match phase {
            Phase::Parity => seconds * self.slowness.unwrap_or(1.0),
            _ => *seconds,
        }
    }
}

impl Stage {
    /// What is left of this phase, which was expected to take so long.
    fn left(&self, expected: Option<f64>, at: Duration) -> Option<f64> {
        let rest = 1.0 - self.now.share;
        let measured = self.pace(|mark| mark.share).map(|pace| rest / pace);
        let planned = expected.map(|seconds| match self.total {
            0 => (seconds - at.saturating_sub(self.began).as_secs_f64()).max(0.0),
            _ => seconds * rest / self.counted(),
        });
        match (measured, planned) {
            (Some(measured), Some(planned)) => {
                let trust = self.trust();
                Some(trust * measured + (1.0 - trust) * planned)
            }
            (measured, planned) => measured.or(planned),
        }
    }

    /// How many times as long as expected this phase takes, with as much trust in its pace as there is.
    fn slowness(&self, expected: f64) -> Option<f64> {
        let measured = self.counted() / self.pace(|mark| mark.share)?;
        let trust = self.trust();
        (expected > 0.0).then(|| trust * measured / expected + (1.0 - trust))
    }

    /// The share of the phase that was not there when it began to count.
    fn counted(&self) -> f64 {
        (1.0 - self.start.unwrap_or_default().share).max(f64::MIN_POSITIVE)
    }

    /// How much the measured pace counts, 0 to 1.
    fn trust(&self) -> f64 {
        ((self.now.share - self.start.unwrap_or_default().share) / self.counted() / TRUSTED).min(1.0)
    }

    /// How much of something there was a second, since the phase began to count.
    fn pace(&self, of: impl Fn(&Mark) -> f64) -> Option<f64> {
        let start = self.start?;
        let (gain, seconds) = (of(&self.now) - of(&start), self.now.at.saturating_sub(start.at).as_secs_f64());
        (gain > 0.0 && seconds > 0.0).then(|| gain / seconds)
    }
}

fn share(done: f64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (done / total as f64).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn expect(phases: &[(Phase, f64)]) -> Event {
        Event::Estimate { phases: phases.iter().map(|&(phase, seconds)| PhaseEstimate { phase, seconds }).collect() }
    }

    fn images(done: u64, total: u64) -> Event {
        Event::Progress { phase: Phase::Features, done, total }
    }

    /// A run whose features were expected to take 100 s, with 30 s behind them, in its features for 0 s.
    fn in_features() -> Estimator {
        let mut run = Estimator::default();
        assert_eq!(run.update(&Event::Phase { phase: Phase::Data }, seconds(0.0)).unwrap().seconds_left, None);
        let expected = [(Phase::Data, 1.0), (Phase::Features, 100.0), (Phase::Training, 25.0), (Phase::Parity, 5.0)];
        run.update(&expect(&expected), seconds(9.0));
        let begin = run.update(&Event::Phase { phase: Phase::Features }, seconds(10.0)).unwrap();
        assert_eq!(begin.seconds_left, Some(130.0));
        run
    }

    #[test]
    fn what_was_expected_counts_until_something_is_measured() {
        let mut run = in_features();
        let first = run.update(&images(0, 1000), seconds(10.0)).unwrap();
        assert_eq!((first.seconds_left, first.fraction), (Some(130.0), 10.0 / 140.0));
        // A tenth of the images in 20 s: 180 s more, 25 s of training, and twice 5 s for the comparison.
        let tenth = run.update(&images(100, 1000), seconds(30.0)).unwrap();
        assert_eq!((tenth.seconds_left, tenth.images_per_second), (Some(215.0), Some(5.0)));
        assert_eq!(tenth.fraction, 30.0 / 245.0);
    }

    #[test]
    fn expectation_gives_way_to_measurement_over_the_first_tenth() {
        let mut run = in_features();
        run.update(&images(0, 1000), seconds(10.0));
        // A twentieth in 10 s: 190 s as measured, 95 s as expected, half of each; and 10 s and 5 s for the comparison.
        let left = run.update(&images(50, 1000), seconds(20.0)).unwrap().seconds_left;
        assert_eq!(left, Some(142.5 + 25.0 + 7.5));
    }

    #[test]
    fn what_was_cached_is_no_pace() {
        let mut run = in_features();
        run.update(&images(900, 1000), seconds(10.0));
        // Half of what is left in 5 s, so 10 s instead of 100, and the comparison a tenth of 5.
        let half = run.update(&images(950, 1000), seconds(15.0)).unwrap();
        let left = half.seconds_left.unwrap();
        // Shares of a phase are rounded.
        assert!((left - (5.0 + 25.0 + 0.5)).abs() < 1e-9, "{left}");
        assert_eq!(half.images_per_second, Some(10.0));
    }

    #[test]
    fn the_comparison_of_engines_is_as_slow_as_the_features_were() {
        let mut run = in_features();
        run.update(&images(0, 1000), seconds(10.0));
        run.update(&images(1000, 1000), seconds(60.0));
        run.update(&Event::Phase { phase: Phase::Training }, seconds(60.0));
        let parity = run.update(&Event::Phase { phase: Phase::Parity }, seconds(85.0)).unwrap();
        assert_eq!(parity.seconds_left, Some(2.5));
    }

    #[test]
    fn the_share_never_falls() {
        let mut run = in_features();
        run.update(&images(0, 1000), seconds(10.0));
        let early = run.update(&images(900, 1000), seconds(11.0)).unwrap();
        let late = run.update(&images(901, 1000), seconds(100.0)).unwrap();
        assert!(late.seconds_left > early.seconds_left);
        assert_eq!(late.fraction.max(early.fraction), late.fraction);
    }

    #[test]
    fn steps_say_themselves_what_is_left_of_training() {
        let mut run = in_features();
        run.update(&expect(&[(Phase::Training, 1.0), (Phase::Tuning, 400.0), (Phase::Parity, 5.0)]), seconds(110.0));
        run.update(&Event::Phase { phase: Phase::Tuning }, seconds(110.0));
        let step = Event::Step {
            step: 40,
            epoch: 3,
            epochs: 12,
            examples: 64,
            loss: 1.0,
            accuracy: 0.5,
            images_per_second: 20.0,
            seconds_left: 300.0,
        };
        // A quarter is done in 100 s, so that what was expected does not count any more.
        let progress = run.update(&step, seconds(210.0)).unwrap();
        assert!((progress.seconds_left.unwrap() - 305.0).abs() < 1e-9, "{progress:?}");
        assert_eq!((progress.phase, progress.done, progress.total), (Phase::Tuning, 2, 12));
        assert_eq!(progress.images_per_second, Some(20.0));
    }

    #[test]
    fn a_phase_that_counts_nothing_lasts_as_long_as_expected_and_no_longer() {
        let mut run = in_features();
        run.update(&Event::Phase { phase: Phase::Training }, seconds(100.0));
        let left = |run: &mut Estimator, at| run.update(&expect(&[(Phase::Training, 25.0)]), seconds(at)).unwrap();
        assert_eq!(left(&mut run, 110.0).seconds_left, Some(15.0));
        assert_eq!(left(&mut run, 200.0).seconds_left, Some(0.0));
    }

    #[test]
    fn an_evaluation_is_measured_alone() {
        let mut run = Estimator::default();
        let progress = |done| Event::Progress { phase: Phase::Evaluation, done, total: 100 };
        run.update(&Event::Phase { phase: Phase::Evaluation }, seconds(2.0));
        assert_eq!(run.update(&progress(0), seconds(2.0)).unwrap().seconds_left, None);
        let quarter = run.update(&progress(25), seconds(12.0)).unwrap();
        assert_eq!((quarter.seconds_left, quarter.fraction), (Some(30.0), 12.0 / 42.0));
    }
}
