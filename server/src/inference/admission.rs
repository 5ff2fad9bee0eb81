//! Who may wait for a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::InferenceError;
use super::lanes::Company;
use super::turns::ModelTurns;

/// The queue of one model: how many images may wait, and for how long by the model's recent throughput.
#[derive(Debug)]
pub(super) struct Admission {
    permits: Arc<Semaphore>,
    decode_permits: Arc<Semaphore>,
    capacity: usize,
    max_wait: Duration,
    throughput: Throughput,
    /// The models that run.
    turns: ModelTurns,
}

/// The right of one image to wait. It ends when the model takes the image or the request is given up.
#[derive(Debug)]
pub(super) struct QueuePermit {
    _permit: OwnedSemaphorePermit,
    /// Once it may be decoded.
    decode_permit: Option<OwnedSemaphorePermit>,
    /// What the image found when it arrived.
    company: Company,
}

impl QueuePermit {
    /// Whether the server was empty when the image arrived.
    pub(super) fn company(&self) -> Company {
        self.company
    }
}

impl Admission {
    /// A queue of so many images, of which so many may be decoded before the model takes them.
    pub(super) fn new(capacity: usize, decoded: usize, max_wait: Duration, turns: ModelTurns) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(capacity));
        let decode_permits = Arc::new(Semaphore::new(decoded.clamp(1, Semaphore::MAX_PERMITS)));
        Self { permits, decode_permits, capacity, max_wait, throughput: Throughput::default(), turns }
    }

    /// A permit for each image, or none at all: half a request is no use to anyone.
    pub(super) fn admit(&self, images: usize, deadline: Instant) -> Result<Vec<QueuePermit>, InferenceError> {
        self.check(images, deadline)?;
        let is_alone = images == 1 && self.waiting() == 0 && self.turns.taken() == 0;
        let company = if is_alone { Company::Alone } else { Company::Others };
        let count = u32::try_from(images).unwrap_or(u32::MAX);
        let permits = self.permits.clone().try_acquire_many_owned(count);
        let mut permits = permits.map_err(|_| self.overloaded())?;
        Ok(std::iter::from_fn(|| permits.split(1))
            .map(|permit| QueuePermit { _permit: permit, decode_permit: None, company })
            .collect())
    }

    /// Waits until the model will soon want the image. What waits longer waits as the file it came in, which is a tenth of
    /// its pixels, and costs nothing if its client goes or its deadline passes.
    pub(super) async fn wait_to_decode(&self, permit: &mut QueuePermit) {
        // The semaphore is never closed.
        permit.decode_permit = self.decode_permits.clone().acquire_owned().await.ok();
    }

    /// Whether so many images could be admitted now. Takes nothing: a body that is still to arrive may take its time.
    pub(super) fn check(&self, images: usize, deadline: Instant) -> Result<(), InferenceError> {
        if images > self.capacity {
            return Err(InferenceError::TooMany { images, capacity: self.capacity });
        }
        let wait = self.predicted_wait();
        if wait > self.max_wait || images > self.permits.available_permits() {
            return Err(self.overloaded());
        }
        if Instant::now() + wait > deadline {
            return Err(InferenceError::Late);
        }
        Ok(())
    }

    /// How many images are being decoded or wait.
    pub(super) fn waiting(&self) -> usize {
        self.capacity - self.permits.available_permits()
    }

    /// How long another image would wait.
    pub(super) fn predicted_wait(&self) -> Duration {
        self.throughput.estimate(self.waiting())
    }

    pub(super) fn throughput(&self) -> &Throughput {
        &self.throughput
    }

    fn overloaded(&self) -> InferenceError {
        InferenceError::Overloaded { waiting: self.waiting(), retry_after: self.predicted_wait() }
    }
}

/// How fast a model has been lately, decoding included.
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
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn later() -> Instant {
        Instant::now() + LONG
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let admission = Admission::new(4, 2, LONG, ModelTurns::new(1));
        admission.throughput.record(2, Duration::from_secs(1));
        let three = admission.admit(3, later()).unwrap();
        let Err(InferenceError::Overloaded { waiting, retry_after }) = admission.admit(2, later()) else { panic!() };
        assert_eq!((waiting, retry_after), (3, Duration::from_millis(1500)));
        let _one = admission.admit(1, later()).unwrap();
        assert!(matches!(admission.admit(1, later()), Err(InferenceError::Overloaded { waiting: 4, .. })));
        drop(three);
        assert_eq!(admission.admit(3, later()).unwrap().len(), 3);
    }

    #[test]
    fn an_image_that_would_wait_too_long_is_refused_before_the_queue_is_full() {
        let admission = Admission::new(64, 2, Duration::from_secs(1), ModelTurns::new(1));
        admission.throughput.record(1, Duration::from_millis(400));
        let two = admission.admit(2, later()).unwrap();
        assert!(admission.check(1, later()).is_ok(), "0.8 s are not too long");
        let _third = admission.admit(1, later()).unwrap();
        assert!(matches!(admission.check(1, later()), Err(InferenceError::Overloaded { waiting: 3, .. })));
        drop(two);
        assert!(admission.check(1, later()).is_ok());
    }

    #[tokio::test]
    async fn an_image_is_alone_if_nothing_waited_or_ran_when_it_came() {
        let turns = ModelTurns::new(2);
        let admission = Admission::new(8, 2, LONG, turns.clone());
        let company = |images| admission.admit(images, later()).unwrap()[0].company();
        assert_eq!([company(1), company(2)], [Company::Alone, Company::Others]);
        let waiting = admission.admit(1, later()).unwrap();
        assert_eq!(company(1), Company::Others);
        drop(waiting);
        let running = turns.acquire(&"another".parse().unwrap()).await.unwrap();
        assert_eq!(company(1), Company::Others);
        drop(running);
        assert_eq!(company(1), Company::Alone);
    }

    #[test]
    fn an_image_that_would_be_late_is_refused_at_once() {
        let admission = Admission::new(64, 2, LONG, ModelTurns::new(1));
        admission.throughput.record(1, Duration::from_secs(2));
        let soon = || Instant::now() + Duration::from_secs(1);
        let _first = admission.admit(1, soon()).unwrap();
        assert!(matches!(admission.admit(1, soon()), Err(InferenceError::Late)));
        assert!(admission.admit(1, later()).is_ok());
    }

    #[tokio::test]
    async fn an_image_is_not_decoded_long_before_the_model_takes_it() {
        let admission = Admission::new(4, 2, LONG, ModelTurns::new(1));
        let mut permits = admission.admit(3, later()).unwrap();
        admission.wait_to_decode(&mut permits[0]).await;
        admission.wait_to_decode(&mut permits[1]).await;
        let mut third = permits.pop().unwrap();
        let mut wait = pin!(admission.wait_to_decode(&mut third));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        permits.pop();
        assert!(wait.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn a_request_that_can_never_fit_is_not_told_to_come_back() {
        let admission = Admission::new(4, 2, LONG, ModelTurns::new(1));
        assert!(matches!(admission.admit(5, later()), Err(InferenceError::TooMany { images: 5, capacity: 4 })));
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
