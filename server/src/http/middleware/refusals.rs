//! The lines of the log for requests that are refused because of load: of a flood, a few each second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines a second. Under overload refusals come by the thousand, all alike, and a line costs a third of a refusal.
const LINES: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// Which refusals get a line.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    /// The beginning of the second that is counted.
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl RefusalLog {
    /// Whether a refusal gets a line, and how many got none since the last line.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count.since.is_none_or(|since| now.duration_since(since) >= SECOND) {
            (count.since, count.lines) = (Some(now), 0);
        }
        if count.lines == LINES {
            count.left_out += 1;
            return None;
        }
        count.lines += 1;
        Some(std::mem::take(&mut count.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_a_few_lines_a_second_and_the_next_line_says_how_many_had_none() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        let first: Vec<_> = (0..100).map(|_| log.admit(start)).collect();
        assert_eq!(first, [vec![Some(0); 20], vec![None; 80]].concat());
        let later = start + SECOND;
        assert_eq!([log.admit(later), log.admit(later)], [Some(80), Some(0)]);
    }
}
