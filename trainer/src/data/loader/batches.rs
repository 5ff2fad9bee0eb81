//! One epoch's batches, in order.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::pipeline::Pipeline;
use super::queue::Queue;
use super::{LoaderError, Resources};

/// Images with their classes, channels last.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n, height, width, 3]`.
    pub shape: [usize; 4],
    /// The numbers, row-major in the order of the shape.
    pub images: Vec<f32>,
    /// The class of each image.
    pub classes: Vec<usize>,
    /// The position of each image in the data set. Bad files that are skipped are missing from it.
    pub samples: Vec<usize>,
}

/// How long the consumer waited for batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingTime {
    /// In [`Batches::next`].
    pub waited: Duration,
    /// From the start of the epoch to its last batch, or until now.
    pub total: Duration,
}

impl WaitingTime {
    /// The share of the time, 0..=1, in which the consumer had nothing to do.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.total.is_zero() { 0.0 } else { self.waited.as_secs_f64() / self.total.as_secs_f64() }
    }
}

/// One epoch's batches. To drop it ends its threads: each finishes the image in its hands and no more.
#[derive(Debug)]
pub struct Batches {
    pipeline: Arc<Pipeline>,
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    order: Arc<[usize]>,
    /// How many positions have been delivered.
    delivered: usize,
    start: Instant,
    waited: Duration,
    /// When the last batch was taken.
    end: Option<Instant>,
    failed: Option<LoaderError>,
}

/// What an epoch is made of.
pub(super) struct EpochSpec {
    /// Positions in the data set.
    pub(super) order: Arc<[usize]>,
    /// Counted from 0; decides what is drawn at random.
    pub(super) number: u64,
    pub(super) batch_size: NonZeroUsize,
}

impl Batches {
    pub(super) fn start(pipeline: Arc<Pipeline>, resources: Resources, epoch: EpochSpec) -> Self {
        let EpochSpec { order, number: epoch, batch_size } = epoch;
        let wanted = resources.threads.get().min(order.len());
        let (batch, ahead) = (batch_size.get(), resources.ahead.get());
        let queue = Arc::new(Queue::new(order.len(), batch, ahead, wanted));
        let (mut threads, mut failed) = (Vec::new(), None);
        for number in 0..wanted {
            let worker = Worker { pipeline: pipeline.clone(), queue: queue.clone(), order: order.clone(), epoch };
            let builder = std::thread::Builder::new().name(format!("loader {number}"));
            match builder.spawn(move || worker.work()) {
                Ok(thread) => threads.push(thread),
                Err(error) => failed = Some(error),
            }
        }
        // One thread is enough to go on; none is not.
        let failed = failed.filter(|_| threads.is_empty()).map(|error| LoaderError::Threads(error.to_string()));
        let (start, waited) = (Instant::now(), Duration::ZERO);
        Self { pipeline, queue, threads, order, delivered: 0, start, waited, end: None, failed }
    }

    /// How long the consumer has waited so far.
    #[must_use]
    pub fn waiting(&self) -> WaitingTime {
        WaitingTime { waited: self.waited, total: self.end.unwrap_or_else(Instant::now) - self.start }
    }

    /// The next batch that has any image; the first error in the order of the samples, whichever came first.
    fn advance(&mut self) -> Result<Option<Batch>, LoaderError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        while let Some(loaded) = self.queue.take() {
            let (height, width) = self.pipeline.size();
            let mut batch = Batch { shape: [0, height, width, 3], images: vec![], classes: vec![], samples: vec![] };
            batch.images.reserve_exact(loaded.len() * height * width * 3);
            let positions = self.delivered..self.delivered + loaded.len();
            self.delivered = positions.end;
            for (&index, loaded) in self.order[positions].iter().zip(loaded) {
                if let (Some(numbers), Some(sample)) = (loaded?, self.pipeline.sample(index)) {
                    batch.images.extend(numbers);
                    batch.classes.push(sample.class);
                    batch.samples.push(index);
                }
            }
            batch.shape[0] = batch.samples.len();
            if batch.shape[0] > 0 {
                return Ok(Some(batch));
            }
        }
        if self.delivered < self.order.len() {
            return Err(LoaderError::Threads("all of them ended early".to_owned()));
        }
        Ok(None)
    }

    fn finish(&mut self) {
        self.queue.stop();
        self.end.get_or_insert_with(Instant::now);
        // A thread that panicked has said so on its own; what it left undone is an error of `advance`.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, LoaderError>;

    /// Waits for the next batch. After an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        let begin = Instant::now();
        let batch = self.advance().transpose();
        self.waited += begin.elapsed();
        if !matches!(batch, Some(Ok(_))) {
            self.finish();
        }
        batch
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.finish();
    }
}

/// One thread.
struct Worker {
    pipeline: Arc<Pipeline>,
    queue: Arc<Queue>,
    order: Arc<[usize]>,
    epoch: u64,
}

impl Worker {
    fn work(self) {
        while let Some(position) = self.queue.next() {
            self.queue.put(position, self.pipeline.load(self.order[position], self.epoch));
        }
    }
}

impl Drop for Worker {
    /// Also of a thread that could not be started: its closure is dropped with it.
    fn drop(&mut self) {
        self.queue.leave();
    }
}
