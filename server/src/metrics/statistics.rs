//! What each version of a model has done since the server started, for clients that ask for sums and not for a scrape.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::labels::Stage;

/// The sums of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunStatistics {
    /// When the model last ran, in milliseconds since 1970; 0 if it has not.
    pub last_run_ms: u64,
    /// Images that were answered.
    pub images: u64,
    /// Runs of the model.
    pub runs: u64,
    /// Requests that were answered.
    pub succeeded: DurationSum,
    /// Requests that were refused or failed.
    pub failed: DurationSum,
    /// Images that waited.
    pub queue: DurationSum,
    /// Images that were decoded.
    pub decode: DurationSum,
    /// Images that were run, each with the duration of its run.
    pub inference: DurationSum,
    /// Runs by how many images were in them.
    pub batches: BTreeMap<usize, DurationSum>,
}

/// How often something happened, and how long it took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurationSum {
    /// How often.
    pub count: u64,
    /// Nanoseconds.
    pub nanos: u64,
}

impl DurationSum {
    fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.nanos = self.nanos.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// A version with its sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatistics {
    /// The model's name.
    pub model: String,
    /// The version's number.
    pub version: u32,
    /// What it has done.
    pub runs: RunStatistics,
}

/// The sums of all versions. They belong to the process, so that a model that is loaded again goes on counting.
#[derive(Debug, Default)]
pub(super) struct Statistics(Mutex<BTreeMap<(String, u32), VersionCounter>>);

impl Statistics {
    pub(super) fn of_version(&self, model: &str, version: u32) -> VersionCounter {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        versions.entry((model.to_owned(), version)).or_default().clone()
    }

    pub(super) fn read(&self) -> Vec<VersionStatistics> {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |((model, version), counter): (&(String, u32), &VersionCounter)| VersionStatistics {
            model: model.clone(),
            version: *version,
            runs: counter.lock().clone(),
        };
        versions.iter().map(read).collect()
    }
}

/// Counts for one version; clones share their sums.
#[derive(Debug, Clone, Default)]
pub(super) struct VersionCounter(Arc<Mutex<RunStatistics>>);

impl VersionCounter {
    pub(super) fn stage(&self, stage: Stage, duration: Duration) {
        let mut sums = self.lock();
        match stage {
            // A body arrives before its request is known to be one for the model.
            Stage::Read => {}
            Stage::Decode => sums.decode.add(duration),
            Stage::Queue => sums.queue.add(duration),
            Stage::Inference => sums.inference.add(duration),
        }
    }

    pub(super) fn batch(&self, images: usize, duration: Duration) {
        let mut sums = self.lock();
        sums.runs += 1;
        sums.images += images as u64;
        sums.batches.entry(images).or_default().add(duration);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 says nothing about when the model ran.
        sums.last_run_ms = since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64);
    }

    pub(super) fn succeeded(&self, duration: Duration) {
        self.lock().succeeded.add(duration);
    }

    pub(super) fn failed(&self, duration: Duration) {
        self.lock().failed.add(duration);
    }

    fn lock(&self) -> MutexGuard<'_, RunStatistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_loaded_again_goes_on_counting() {
        let statistics = Statistics::default();
        let millis = Duration::from_millis;
        let first = statistics.of_version("flowers", 1);
        first.batch(2, millis(10));
        for waited in [1, 3] {
            first.stage(Stage::Queue, millis(waited));
        }
        drop(first);
        statistics.of_version("flowers", 1).batch(2, millis(20));
        statistics.of_version("flowers", 2).failed(millis(1));

        let versions = statistics.read();
        let [one, two] = &versions[..] else { panic!("two versions") };
        assert_eq!(
            (one.runs.images, one.runs.runs, one.runs.queue),
            (4, 2, DurationSum { count: 2, nanos: 4_000_000 })
        );
        assert_eq!(one.runs.batches[&2], DurationSum { count: 2, nanos: 30_000_000 });
        assert!(one.runs.last_run_ms > 1_700_000_000_000, "after 2023: {}", one.runs.last_run_ms);
        assert_eq!((two.version, two.runs.failed.count, two.runs.last_run_ms), (2, 1, 0));
    }
}
