//! What the process uses, by `/proc` (proc(5)).

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Linux reports processor time to programs in hundredths of a second, whatever its own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProcessUsage {
    pub(super) resident_bytes: i64,
    /// Of all threads, in user mode and in the system.
    pub(super) cpu_seconds: f64,
    pub(super) open_files: i64,
    pub(super) max_files: i64,
    pub(super) threads: i64,
}

impl ProcessUsage {
    /// `None` where there is no `/proc`.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (cpu_seconds, threads) = times(&stat)?;
        Some(Self {
            resident_bytes: resident_bytes()? as i64,
            cpu_seconds,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count() as i64,
            max_files: getrlimit(Resource::Nofile).current.map_or(i64::MAX, |limit| limit as i64),
            threads,
        })
    }
}

/// The resident memory of this process; `None` where there is no `/proc`.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Processor seconds and threads. The second field is the program's name in parentheses, which may hold anything.
fn times(stat: &str) -> Option<(f64, i64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // From the third field on: `utime` is the 14th, `stime` the 15th, `num_threads` the 20th.
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    Some(((number(14)? + number(15)?) as f64 / TICKS_PER_SECOND, number(20)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_hold_spaces_and_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 500 0 0 0 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(times(stat), Some((3.0, 9)));
    }
}
