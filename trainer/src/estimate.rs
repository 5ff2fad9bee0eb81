//! How far a run is and how long it still takes, from its events.
//!
//! A run says beforehand how long it expects each phase to take ([`Event::Estimate`]). Within a phase the expectation gives
//! way to what is measured: after a tenth of it the measured pace alone counts.

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
        let expected = position.map(|position| self.expected[position].seconds);
        let later = match position {
            Some(position) => &self.expected[position + 1..],
            None => &self.expected[..],
        };
        // A phase that nobody spoke of may come before all others; only an evaluation has none behind it.
        if expected.is_none() && stage.phase != Phase::Evaluation && self.expected.is_empty() {
            return None;
        }
        let own = stage.left(expected, at)?;
        Some(own + later.iter().map(|estimate| estimate.seconds).sum::<f64>())
    }
}

impl Stage {
    /// What is left of this phase, which was expected to take so long.
    fn left(&self, expected: Option<f64>, at: Duration) -> Option<f64> {
        let start = self.start.unwrap_or_default();
        let rest = 1.0 - self.now.share;
        let measured = self.pace(|mark| mark.share).map(|pace| rest / pace);
        let counted = (1.0 - start.share).max(f64::MIN_POSITIVE);
        let planned = expected.map(|seconds| match self.total {
            0 => (seconds - at.saturating_sub(self.began).as_secs_f64()).max(0.0),
            _ => seconds * rest / counted,
        });
        match (measured, planned) {
            (Some(measured), Some(planned)) => {
                let trust = ((self.now.share - start.share) / counted / TRUSTED).min(1.0);
                Some(trust * measured + (1.0 - trust) * planned)
            }
            (measured, planned) => measured.or(planned),
        }
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
        // A tenth of the images in 20 s: 180 s more, and the 30 s behind them.
        let tenth = run.update(&images(100, 1000), seconds(30.0)).unwrap();
        assert_eq!((tenth.seconds_left, tenth.images_per_second), (Some(210.0), Some(5.0)));
        assert_eq!(tenth.fraction, 30.0 / 240.0);
    }

    #[test]
    fn expectation_gives_way_to_measurement_over_the_first_tenth() {
        let mut run = in_features();
        run.update(&images(0, 1000), seconds(10.0));
        // A twentieth in 10 s: 190 s as measured, 95 s as expected, half of each.
        let left = run.update(&images(50, 1000), seconds(20.0)).unwrap().seconds_left;
        assert_eq!(left, Some(142.5 + 30.0));
    }

    #[test]
    fn what_was_cached_is_no_pace() {
        let mut run = in_features();
        run.update(&images(900, 1000), seconds(10.0));
        // Half of what is left in 5 s.
        let half = run.update(&images(950, 1000), seconds(15.0)).unwrap();
        let left = half.seconds_left.unwrap();
        // Shares of a phase are rounded.
        assert!((left - (5.0 + 30.0)).abs() < 1e-9, "{left}");
        assert_eq!(half.images_per_second, Some(10.0));
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
