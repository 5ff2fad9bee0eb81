//! The task that owns a model's engines.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::admission::Admission;
use super::lanes::{Company, Lanes};
use super::queue::QueuedImage;
use super::run::{DequeuedImage, EndedRun, Run};
use super::turns::{ModelTurn, ModelTurns};
use crate::metrics::ModelMetrics;
use crate::store::ModelName;

/// What the task works with.
pub(super) struct Worker {
    pub(super) name: ModelName,
    pub(super) lanes: Lanes,
    pub(super) entries: UnboundedReceiver<QueuedImage>,
    /// Which models run; each has a thread only while it does.
    pub(super) turns: ModelTurns,
    pub(super) classes: usize,
    pub(super) max_batch: usize,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: ModelMetrics,
    /// Set once, when the worker ends because an engine panicked.
    pub(super) failure: Arc<OnceLock<String>>,
    pub(super) clock: RunClock,
}

/// The end of the last run, if images were waiting then: from one such end to the next, the model was busy.
#[derive(Debug, Default)]
pub(super) struct RunClock {
    busy_since: Option<Instant>,
    last_end: Option<Instant>,
}

impl RunClock {
    /// How much of the time of a run that began then counts for its images alone: what passed since another run ended, or
    /// since this one began if the model had nothing to do before. So many images are waiting now.
    fn elapsed(&mut self, started: Instant, waiting: usize) -> Duration {
        let now = Instant::now();
        let since = self.busy_since.take().unwrap_or_else(|| self.last_end.map_or(started, |end| end.max(started)));
        (self.busy_since, self.last_end) = ((waiting > 0).then_some(now), Some(now));
        now.saturating_duration_since(since)
    }
}

impl Worker {
    /// Works until nobody can queue anything any more, or an engine panics. What is queued then is answered as stopped,
    /// because its `reply` is dropped. When it returns, the engines' memory is free.
    pub(super) async fn work(mut self) {
        let mut runs = JoinSet::new();
        loop {
            tokio::select! {
                Some(ended) = runs.join_next(), if !runs.is_empty() => {
                    if self.end(ended).is_break() {
                        break;
                    }
                }
                Some(first) = self.entries.recv(), if self.lanes.is_free() => {
                    let Some(turn) = self.turns.acquire(&self.name).await else { break };
                    if let Some(run) = self.begin(first, turn) {
                        runs.spawn_blocking(move || run.finish());
                    }
                }
                else => break,
            }
        }
        while let Some(ended) = runs.join_next().await {
            // An engine that panics after another has ended as well.
            let _flow = self.end(ended);
        }
        // An engine takes a moment to free what it has; those who wait for it are told by the end of this task.
        drop(spawn_blocking(move || drop(self)).await);
    }

    /// Takes this image and others that wait, up to the largest batch, and an engine for them.
    fn begin(&mut self, first: QueuedImage, turn: ModelTurn) -> Option<Run> {
        let company = first.permit.company();
        let mut batch: Vec<DequeuedImage> = DequeuedImage::take(first).into_iter().collect();
        while batch.len() < self.max_batch
            && let Ok(entry) = self.entries.try_recv()
        {
            batch.extend(DequeuedImage::take(entry));
        }
        if batch.is_empty() {
            return None;
        }
        // Clients that send one image after another come as often as not in the moment when none of the others has one here.
        let is_alone = company == Company::Alone && self.admission.waiting() == 0 && self.turns.taken() <= 1;
        let engine = self.lanes.take(if is_alone { Company::Alone } else { Company::Others })?;
        let (classes, metrics, failure) = (self.classes, self.metrics.clone(), self.failure.clone());
        Some(Run { engine, batch, turn, classes, metrics, failure, started: Instant::now() })
    }

    /// Has the engine back, unless it panicked: nobody shall see what the panic left behind.
    fn end(&mut self, run: Result<EndedRun, JoinError>) -> ControlFlow<()> {
        // The runtime is going.
        let Ok(EndedRun { engine, images, started }) = run else { return ControlFlow::Break(()) };
        self.admission.throughput().record(images, self.clock.elapsed(started, self.admission.waiting()));
        match engine {
            Some(engine) => {
                self.lanes.give_back(engine);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use models::preprocess::Limits;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::sync::oneshot;

    use super::*;
    use crate::inference::queue::ImageLogits;
    use crate::inference::testing::{EngineRecord, RED, RecordingEngine, bmp, colors};
    use crate::inference::{InferenceError, RunProfile};
    use crate::metrics::Metrics;

    const HOUR: Duration = Duration::from_secs(3600);

    type Reply = oneshot::Receiver<Result<ImageLogits, InferenceError>>;

    /// A worker whose queue holds so many images and is closed behind them.
    fn worker(images: usize, watch: &Arc<Mutex<EngineRecord>>) -> (Worker, Vec<Reply>) {
        let network = colors();
        let input = network.spec.preprocess.apply(&bmp(RED), &Limits::default()).unwrap();
        let admission = Arc::new(Admission::new(images, images, HOUR, ModelTurns::new(1)));
        let (queue, entries) = unbounded_channel();
        let entry = |permit| {
            let (reply, answer) = oneshot::channel();
            let (queued, deadline) = (Instant::now(), Instant::now() + HOUR);
            let waited = Duration::ZERO;
            queue.send(QueuedImage { input: input.clone(), permit, waited, queued, deadline, reply }).unwrap();
            answer
        };
        let replies = admission.admit(images, Instant::now() + HOUR).unwrap().into_iter().map(entry).collect();
        let file = onnx::export(&network, &onnx::ExportOptions::default()).unwrap();
        let engine = RecordingEngine::open(&file, watch.clone()).unwrap();
        let metrics = Metrics::default().of_model("colors", 1, "tract");
        let failure = Arc::default();
        let worker = Worker {
            name: "colors".parse().unwrap(),
            lanes: Lanes::new(onnx::EngineSet::single(engine), RunProfile::Auto),
            entries,
            turns: ModelTurns::new(1),
            classes: 3,
            max_batch: 4,
            admission,
            metrics,
            failure,
            clock: RunClock::default(),
        };
        (worker, replies)
    }

    #[tokio::test]
    async fn what_waits_is_run_together_up_to_the_largest_batch() {
        let watch = Arc::default();
        let (worker, replies) = worker(6, &watch);
        worker.work().await;
        assert_eq!(watch.lock().unwrap().batches, [4, 2]);
        for (mut reply, batch) in replies.into_iter().zip([4, 4, 4, 4, 2, 2]) {
            let answer = reply.try_recv().unwrap().unwrap();
            assert_eq!(answer.batch, batch);
            // The network's mean of a channel, as a share of 255.
            let expected = RED.map(|value| f32::from(value) / 255.0);
            assert!(answer.logits.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", answer.logits);
        }
    }

    #[tokio::test]
    async fn several_images_run_at_the_same_time_on_a_thread_each() {
        let gate = Arc::new(Mutex::new(()));
        let watch = Arc::new(Mutex::new(EngineRecord { gate: Some(gate.clone()), ..EngineRecord::default() }));
        let (mut worker, replies) = worker(3, &watch);
        let file = onnx::export(&colors(), &onnx::ExportOptions::default()).unwrap();
        let engine = || RecordingEngine::open(&file, watch.clone()).unwrap();
        let engines = onnx::EngineSet { narrow: vec![engine(), engine()], ..onnx::EngineSet::single(engine()) };
        (worker.lanes, worker.turns, worker.max_batch) =
            (Lanes::new(engines, RunProfile::Auto), ModelTurns::new(16), 1);
        let (open, opened) = std::sync::mpsc::channel::<()>();
        let (close, closed) = std::sync::mpsc::channel();
        let keeper = std::thread::spawn(move || {
            let _held = gate.lock().unwrap();
            close.send(()).unwrap();
            // Until the sender goes.
            let _gone = opened.recv();
        });
        closed.recv().unwrap();
        let work = tokio::spawn(worker.work());
        // Both wait at the gate; the third image has no engine yet.
        while watch.lock().unwrap().batches.len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(watch.lock().unwrap().batches, [1, 1]);
        drop(open);
        keeper.join().unwrap();
        work.await.unwrap();
        assert_eq!(watch.lock().unwrap().batches, [1, 1, 1]);
        for mut reply in replies {
            assert!(reply.try_recv().unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn clients_that_have_gone_are_passed_over() {
        let watch = Arc::default();
        let (worker, mut replies) = worker(6, &watch);
        replies.drain(..3);
        worker.work().await;
        assert_eq!(watch.lock().unwrap().batches, [3]);
        assert!(replies.iter_mut().all(|reply| reply.try_recv().unwrap().is_ok()));
    }

    #[tokio::test]
    async fn an_image_whose_deadline_has_passed_is_not_run() {
        let watch = Arc::default();
        let (mut worker, mut replies) = worker(2, &watch);
        let (queue, entries) = unbounded_channel();
        for late in [true, false] {
            let mut entry = worker.entries.try_recv().unwrap();
            if late {
                entry.deadline = Instant::now();
            }
            queue.send(entry).unwrap();
        }
        drop(queue);
        worker.entries = entries;
        worker.work().await;
        assert_eq!(watch.lock().unwrap().batches, [1]);
        assert!(matches!(replies[0].try_recv().unwrap(), Err(InferenceError::Late)));
        assert!(replies[1].try_recv().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_panic_ends_the_worker_and_nothing_else() {
        let watch = Arc::new(Mutex::new(EngineRecord { panics: Some(0), ..EngineRecord::default() }));
        let (worker, mut replies) = worker(6, &watch);
        let failure = worker.failure.clone();
        worker.work().await;
        assert_eq!(failure.get().map(String::as_str), Some("the engine panicked: told to"));
        for reply in &mut replies[..4] {
            assert!(matches!(reply.try_recv().unwrap(), Err(InferenceError::Failed(_))));
        }
        for reply in &mut replies[4..] {
            assert!(matches!(reply.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        }
    }

    #[tokio::test]
    async fn an_answer_of_the_wrong_length_is_an_error() {
        let (mut worker, mut replies) = worker(1, &Arc::default());
        worker.classes = 4;
        worker.work().await;
        let Err(InferenceError::Failed(reason)) = replies[0].try_recv().unwrap() else { panic!() };
        assert!(reason.contains("not 4 logits each"), "{reason}");
    }
}
