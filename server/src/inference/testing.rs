//! A network that tells red, green and blue apart, and an engine that can be watched.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use models::ops::{Flatten, GlobalAvgPool, Linear, Normalize, Shape};
use models::preprocess::{Filter, ImageBatch, Resize};
use models::{GraphBuilder, Labels, ModelSpec, Network, Params, Preprocess, Tensor};
use onnx::{Engine, EngineError, EngineKind, EngineSet, Outputs};
use trainer::finetune::golden::{Golden, answers};

use super::{AnswerCache, InferenceOptions, MemoryOptions, RunProfile};
use crate::metrics::Metrics;
use crate::store::{Artifacts, ModelContent, ModelStore};

/// Options without a bound on the predicted wait.
pub(crate) fn options(max_batch: usize, queue: usize) -> InferenceOptions {
    let memory = MemoryOptions { budget: None, load_wait: Duration::from_secs(60), resident: Arc::new(|| 0) };
    let (max_wait, metrics) = (Duration::from_secs(3600), Metrics::default());
    let max_accuracy_drop = 0.5;
    InferenceOptions {
        max_batch,
        profile: RunProfile::Auto,
        decoders: 1,
        queue,
        max_wait,
        max_accuracy_drop,
        memory,
        answers: AnswerCache::default(),
        metrics,
    }
}

pub(crate) const RED: [u8; 3] = [250, 10, 20];
pub(crate) const GREEN: [u8; 3] = [10, 240, 20];
const SIDE: u32 = 8;

/// The mean of each channel is its class's logit. Without labels it is a backbone.
pub(crate) fn network(labels: Option<&[&str]>) -> Network {
    let preprocess = Preprocess {
        version: Preprocess::VERSION,
        resize: Resize::Exact { width: SIDE, height: SIDE },
        filter: Filter::Bilinear,
        crop: None,
        mean: [0.0; 3],
        std: [1.0; 3],
        decoding: Default::default(),
    };
    let mut graph = GraphBuilder::new("input", Shape::image(3, SIDE as usize, SIDE as usize));
    let input = graph.input();
    let x = graph.push("normalize", Normalize::for_bytes(&preprocess.mean, &preprocess.std), &[input]).unwrap();
    let x = graph.push("pool", GlobalAvgPool, &[x]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    let x = graph.push("head", Linear::new(3, 3), &[x]).unwrap();
    let mut params = Params::default();
    params.insert("head.weight", Tensor::new([3, 3], vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
    params.insert("head.bias", Tensor::new([3], vec![0.0; 3]));
    let labels = labels.map(|names| Labels::new(names.iter().map(|&name| name.to_owned()).collect()));
    let spec = ModelSpec::new("colors", labels, preprocess);
    Network::new(graph.finish(x), &params, spec).unwrap()
}

pub(crate) fn colors() -> Network {
    network(Some(&["red", "green", "blue"]))
}

/// An image of one color as a 24-bit BMP, 4 x 4 pixels.
pub(crate) fn bmp([red, green, blue]: [u8; 3]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for word in [54 + 48_u32, 0, 54, 40, 4, 4, 1 | 24 << 16, 0, 48, 0, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([blue, green, red].repeat(16));
    file
}

pub(crate) fn golden(network: &Network) -> Vec<Golden> {
    answers(network, vec![("red.bmp".to_owned(), bmp(RED)), ("green.bmp".to_owned(), bmp(GREEN))]).unwrap()
}

/// Publishes a version that is live.
pub(crate) fn publish(store: &ModelStore, name: &str, network: &Network, golden: &[Golden]) -> u32 {
    let version = publish_only(store, name, network, golden);
    store.set_live(&name.parse().unwrap(), version).unwrap();
    version
}

/// Publishes a version as a job or a command does: the live one goes on.
pub(crate) fn publish_only(store: &ModelStore, name: &str, network: &Network, golden: &[Golden]) -> u32 {
    let content = &ModelContent::Native(Box::new(network.clone()));
    store
        .publish(&name.parse().unwrap(), &Artifacts { content, golden, report: None, pictures: &[], quantized: None })
        .unwrap()
}

/// What a watched engine was asked to do, and how it is to answer.
#[derive(Debug, Default)]
pub(crate) struct EngineRecord {
    /// Engines that are open now, that were open together at most, and that were opened.
    pub(crate) open: u64,
    pub(crate) most_open: u64,
    pub(crate) opened: u64,
    /// The images of every run.
    pub(crate) batches: Vec<usize>,
    /// The runs that panic, counted from the first.
    pub(crate) panics: Option<usize>,
    /// Makes a run wait until whoever holds the other end lets go.
    pub(crate) gate: Option<Arc<Mutex<()>>>,
}

/// A real engine that keeps a record.
pub(crate) struct RecordingEngine {
    inner: Box<dyn Engine>,
    record: Arc<Mutex<EngineRecord>>,
}

impl RecordingEngine {
    pub(crate) fn open(file: &[u8], record: Arc<Mutex<EngineRecord>>) -> Result<Box<dyn Engine>, EngineError> {
        let inner = onnx::engine::open(EngineKind::Tract, file, std::num::NonZeroUsize::MIN)?;
        let mut counts = record.lock().unwrap_or_else(PoisonError::into_inner);
        counts.open += 1;
        counts.opened += 1;
        counts.most_open = counts.most_open.max(counts.open);
        drop(counts);
        Ok(Box::new(Self { inner, record }))
    }
}

impl RecordingEngine {
    /// The engine alone, without one for images in company.
    pub(crate) fn set(file: &[u8], record: Arc<Mutex<EngineRecord>>) -> Result<EngineSet, EngineError> {
        Ok(EngineSet::single(Self::open(file, record)?))
    }
}

impl Drop for RecordingEngine {
    fn drop(&mut self) {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
    }
}

impl Engine for RecordingEngine {
    fn kind(&self) -> EngineKind {
        self.inner.kind()
    }

    fn run(&mut self, batch: &ImageBatch) -> Result<Outputs, EngineError> {
        let (panics, gate) = {
            let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            record.batches.push(batch.len());
            (record.panics == Some(record.batches.len() - 1), record.gate.clone())
        };
        assert!(!panics, "told to");
        let _passed = gate.as_ref().map(|gate| gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.inner.run(batch)
    }
}

/// An engine that takes so long for each run.
pub(crate) struct SlowEngine {
    pub(crate) inner: Box<dyn Engine>,
    pub(crate) delay: Duration,
}

impl Engine for SlowEngine {
    fn kind(&self) -> EngineKind {
        self.inner.kind()
    }

    fn run(&mut self, batch: &ImageBatch) -> Result<Outputs, EngineError> {
        std::thread::sleep(self.delay);
        self.inner.run(batch)
    }
}

/// A request for these images as they are.
pub(crate) fn request<B>(images: Vec<B>, deadline: std::time::Instant) -> super::ImageRequest<B> {
    super::ImageRequest { images, views: trainer::evaluate::TestViews::None, deadline }
}
