//! Who may wait for a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::InferenceError;

/// The places of one model.
#[derive(Debug)]
pub(super) struct Admission {
    permits: Arc<Semaphore>,
    count: usize,
    throughput: Arc<Throughput>,
}

/// The right of one image to wait. It ends when the model takes the image or the request is given up.
#[derive(Debug)]
pub(super) struct QueuePermit {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(capacity: usize, throughput: Arc<Throughput>) -> Self {
        let count = capacity.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(count)), count, throughput }
    }

    /// A place for each image, or none at all: half a request is no use to anyone.
    pub(super) fn admit(&self, images: usize) -> Result<Vec<QueuePermit>, InferenceError> {
        let too_many = InferenceError::TooMany { images, capacity: self.count };
        let wanted = u32::try_from(images).map_err(|_| too_many.clone())?;
        if images > self.count {
            return Err(too_many);
        }
        let Ok(mut permits) = self.permits.clone().try_acquire_many_owned(wanted) else {
            let waiting = self.waiting();
            return Err(InferenceError::Overloaded { waiting, retry_after: self.throughput.estimate(waiting) });
        };
        let mut admitted = Vec::with_capacity(images);
        while let Some(permit) = permits.split(1) {
            admitted.push(QueuePermit { _permit: permit });
        }
        Ok(admitted)
    }

    /// How many places are taken.
    pub(super) fn waiting(&self) -> usize {
        self.count - self.permits.available_permits()
    }
}

/// How fast a model has been lately.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    micros_per_image: AtomicU64,
}

impl Throughput {
    /// Takes a run into account: a moving average in which the last run counts for a quarter.
    pub(super) fn record(&self, images: usize, elapsed: Duration) {
        let new = (elapsed.as_micros() / images.max(1) as u128) as u64;
        // One thread writes; a reader that sees the number before last is as well served.
        let old = self.micros_per_image.load(Ordering::Relaxed);
        let mean = if old == 0 { new } else { (3 * old + new) / 4 };
        self.micros_per_image.store(mean.max(1), Ordering::Relaxed);
    }

    /// How long so many images will take.
    pub(super) fn estimate(&self, images: usize) -> Duration {
        Duration::from_micros(self.micros_per_image.load(Ordering::Relaxed).saturating_mul(images as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let throughput = Arc::new(Throughput::default());
        throughput.record(2, Duration::from_secs(1));
        let admission = Admission::new(4, throughput);
        let three = admission.admit(3).unwrap();
        let Err(InferenceError::Overloaded { waiting, retry_after }) = admission.admit(2) else { panic!() };
        assert_eq!((waiting, retry_after), (3, Duration::from_millis(1500)));
        let _one = admission.admit(1).unwrap();
        assert!(matches!(admission.admit(1), Err(InferenceError::Overloaded { waiting: 4, .. })));
        drop(three);
        assert_eq!(admission.admit(3).unwrap().len(), 3);
    }

    #[test]
    fn a_request_that_can_never_fit_is_not_told_to_come_back() {
        let admission = Admission::new(4, Arc::default());
        assert!(matches!(admission.admit(5), Err(InferenceError::TooMany { images: 5, capacity: 4 })));
    }

    #[test]
    fn the_pace_follows_the_last_runs() {
        let throughput = Throughput::default();
        assert_eq!(throughput.estimate(10), Duration::ZERO);
        throughput.record(1, Duration::from_millis(4));
        throughput.record(2, Duration::from_millis(16));
        assert_eq!(throughput.estimate(10), Duration::from_millis(50));
    }
}
