//! Which events are worth storing.
//!
//! A run may have any number of epochs and images; what is stored of it grows with the logarithm of its length.

use std::time::{Duration, Instant};

use trainer::events::Event;

/// A bar does not move faster.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Progress is stored when so large a share of the time since the start has passed since the last.
const SHARE: u32 = 100;

/// Passes on some of the events of a run.
#[derive(Debug)]
pub(super) struct Thinning {
    started: Instant,
    last_progress: Option<Instant>,
    last_stored: Option<Instant>,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// It becomes an event that clients can read later.
    Stored,
    /// It only moves the bar.
    Shown,
    /// Nobody sees it.
    Nothing,
}

impl Thinning {
    /// A run that starts at this time.
    pub(super) fn new(started: Instant) -> Self {
        Self { started, last_progress: None, last_stored: None }
    }

    /// Judges an event at this time. Progress is stored ever more rarely, but its end always; of epochs those are stored
    /// that have no more than three significant digits, and the last.
    pub(super) fn judge(&mut self, event: &Event, now: Instant) -> Worth {
        let ends = match event {
            Event::Progress { done, total, .. } => done == total,
            Event::Step { .. } => false,
            Event::Epoch { epoch, epochs, .. } => {
                return if epoch == epochs || three_digits(*epoch) { Worth::Stored } else { Worth::Nothing };
            }
            _ => return Worth::Stored,
        };
        let since = |last: Option<Instant>| last.map(|last| now.saturating_duration_since(last));
        if !ends && since(self.last_progress).is_some_and(|wait| wait < PROGRESS_EVERY) {
            return Worth::Nothing;
        }
        self.last_progress = Some(now);
        let rare = PROGRESS_EVERY.max(now.saturating_duration_since(self.started) / SHARE);
        if !ends && since(self.last_stored).is_some_and(|wait| wait < rare) {
            return Worth::Shown;
        }
        self.last_stored = Some(now);
        Worth::Stored
    }
}

/// Whether all digits behind the third are zero.
fn three_digits(mut number: usize) -> bool {
    while number >= 1000 && number.is_multiple_of(10) {
        number /= 10;
    }
    number < 1000
}

#[cfg(test)]
mod tests {
    use trainer::events::Phase;

    use super::*;

    fn progress(done: u64) -> Event {
        Event::Progress { phase: Phase::Features, done, total: 1_000_000 }
    }

    #[test]
    fn progress_moves_the_bar_twice_a_second_and_its_end_is_stored() {
        let start = Instant::now();
        let mut thinning = Thinning::new(start);
        let mut judge = |millis, done| thinning.judge(&progress(done), start + Duration::from_millis(millis));
        let worth = [judge(0, 1), judge(10, 2), judge(499, 3), judge(500, 4), judge(510, 1_000_000)];
        assert_eq!(worth, [Worth::Stored, Worth::Nothing, Worth::Nothing, Worth::Stored, Worth::Stored]);
    }

    #[test]
    fn a_day_of_progress_is_some_hundred_events() {
        let start = Instant::now();
        let mut thinning = Thinning::new(start);
        let halves = 2 * 24 * 60 * 60;
        let worths = (0..halves).map(|half| thinning.judge(&progress(1), start + Duration::from_millis(500 * half)));
        let worths: Vec<Worth> = worths.collect();
        let count = |worth| worths.iter().filter(|other| **other == worth).count();
        assert_eq!(count(Worth::Nothing), 0, "the bar moves all day");
        // 100 events in the first 50 s, then one for each hundredth of the time: 100 ln(86400 / 50) = 745.
        assert!((700..=900).contains(&count(Worth::Stored)), "{}", count(Worth::Stored));
    }

    #[test]
    fn epochs_of_three_digits_and_the_last_are_stored() {
        let mut thinning = Thinning::new(Instant::now());
        let mut stored = |epoch, epochs| {
            let event = Event::Epoch { epoch, epochs, train_loss: 1.0, validation_loss: None, validation_top1: None };
            thinning.judge(&event, Instant::now()) == Worth::Stored
        };
        assert!((1..=1000).all(|epoch| stored(epoch, 1_000_000)));
        assert_eq!(
            [1001, 1010, 1011, 12_300, 12_345, 999_000].map(|epoch| stored(epoch, 1_000_000)),
            [false, true, false, true, false, true]
        );
        assert!(stored(12_345, 12_345));
        let of_a_million = (1..=1_000_000).filter(|&epoch| stored(epoch, 1_000_000)).count();
        assert_eq!(of_a_million, 999 + 900 + 900 + 900 + 1);
    }
}
