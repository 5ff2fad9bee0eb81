//! From a base model and a data set to a new model.

mod auto;
mod base;
mod error;
mod extract;
pub mod features;
pub mod golden;
pub mod head;
mod options;
pub mod report;
mod strategy;
mod tune;
mod verify;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use models::graph::GraftedGraph;
use models::spec::TrainingRecord;
use models::{ModelSpec, Network};
use onnx::EngineKind;
use serde_json::json;

use crate::backend::ComputeBackend;
use crate::data::{self, DatasetSource, Fractions, OpenOptions, Partition, Sample, Split};
use crate::events::{Event, Observer, Phase};
use crate::fit::metrics::Evaluation;
use golden::Golden;
use head::{Examples, Trained};
use report::{FinetuneReport, ImageCounts, PhaseSeconds};

pub use base::{Base, Content, FileBase, head_alone};
pub use error::FinetuneError;
pub use options::{FinetuneOptions, TuningOptions};
pub use strategy::{FinetuneStrategy, stage_boundary, trained};

use tune::{TuneContext, TuneResult};

/// The name of the new head's node and, with `.weight` and `.bias`, of its parameters.
const HEAD: &str = "graft.head";
/// On how many images the exported file is compared with what was trained, at most.
const COMPARED: usize = 128;
/// How many golden images a model carries.
const GOLDEN_IMAGES: usize = 4;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The base model's name, for the record.
    pub base_name: &'a str,
    /// What to graft upon.
    pub base: &'a Base,
    /// The images.
    pub source: &'a DatasetSource,
    /// The user's choices.
    pub options: FinetuneOptions,
    /// Where features are kept.
    pub cache: &'a Path,
    /// What runs the frozen part.
    pub engine: EngineKind,
    /// How many threads it may use.
    pub threads: NonZeroUsize,
    /// What trains layers of the base.
    pub kernels: &'a ComputeBackend,
}

/// A new model.
#[derive(Debug, Clone)]
pub struct Finetuned {
    /// What is published.
    pub content: Content,
    /// What was done and measured.
    pub report: FinetuneReport,
    /// Test images with their logits.
    pub golden: Vec<Golden>,
}

/// Trains a new linear head on the base, and layers of the base with it if the strategy says so.
///
/// The base is exported and run by the serving engine once for each look at an image, and its features are kept on disk;
/// the head is trained on them, chosen by the validation images. Every strategy begins so: from a head that fits, layers
/// of the base change less, and forget less (Kumar et al. 2022). The result is measured on the test images, exported, and
/// compared with the trained network on every engine of this process.
///
/// # Errors
/// [`FinetuneError`]; nothing but cached features and checkpoints has been written then.
pub fn finetune(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Finetuned, FinetuneError> {
    task.options.validate()?;
    if matches!(task.base, Base::File(_)) {
        head_alone(task.base_name, task.options.strategy)?;
    }
    let mut clock = Clock::start();
    let mut seconds = PhaseSeconds::default();

    observer.event(Event::Phase { phase: Phase::Data });
    let dataset =
        task.source.open_in(&OpenOptions { archives: Some(&task.cache.join("archives")), ..OpenOptions::default() })?;
    let base = task.base.network();
    let GraftedGraph { graph, features, head } = base.graph.graft(HEAD, dataset.labels.len())?;
    let spec = ModelSpec { labels: None, training: None, ..base.spec.clone() };
    let prefix = task.base.export(&Network::new(graph.prefix(features), &base.params, spec)?)?;
    let images = extract::check(&dataset, task.options.bad_files, observer)?;
    seconds.data = clock.lap();

    observer.event(Event::Phase { phase: Phase::Features });
    let extracted = extract::features(task, &prefix, &images, observer)?;
    data::check_classes(&dataset.labels, extracted.samples.iter().map(|&index| &images[index].sample))?;
    let fractions = Fractions { validation: task.options.validation, test: task.options.test };
    let subsets: Vec<_> =
        extracted.samples.iter().map(|&index| &images[index].sample).map(|s| (s.class, s.subset)).collect();
    let split = Split::new(&subsets, Partition::Fractions(fractions), task.options.seed);
    seconds.features = clock.lap();

    observer.event(Event::Phase { phase: Phase::Training });
    let labels = dataset.labels.len();
    let plain = &extracted.looks[0];
    let [validation, test] = [&split.validation, &split.test].map(|part| plain.rows(part));
    let training = Examples::joined(extracted.looks.iter().map(|look| look.rows(&split.train)));
    let trained =
        head::train(&training, &validation, labels, task.options.head(), observer)?.ok_or(FinetuneError::Stopped)?;
    let compared = if split.validation.is_empty() { &test } else { &validation };
    let mut outcome = Outcome::of_head(&trained, compared, &test);
    let spec = ModelSpec { labels: Some(dataset.labels.clone()), training: None, ..base.spec.clone() };
    let mut network = assemble(base, graph, &trained, spec)?;
    let samples: Vec<&Sample> = extracted.samples.iter().map(|&index| &images[index].sample).collect();
    let mut context = TuneContext {
        task,
        network: &network,
        head,
        samples: &samples,
        split: &split,
        strategy: task.options.strategy,
    };
    if context.strategy == FinetuneStrategy::Auto {
        let choice = auto::choose(&context)?;
        observer.event(Event::Note { message: choice.why });
        context.strategy = choice.strategy;
    }
    let strategy = context.strategy;
    let mut checkpoints = None;
    if strategy != FinetuneStrategy::Head {
        let tuned = tune::tune(&context, observer)?;
        checkpoints = Some(tuned.folder.clone());
        network = Network::new(network.graph.clone(), &tuned.params, network.spec.clone())?;
        outcome = tuned.into();
    }
    let validated = !split.validation.is_empty();
    let metrics = json!({
        "test_top1": outcome.test.top1, "test_top5": outcome.test.top5, "test_images": outcome.test.images,
        "validation_top1": validated.then_some(outcome.validation.top1), "best_epoch": outcome.best_epoch,
    });
    observer.event(Event::Metrics { metrics: metrics.clone() });
    seconds.training = clock.lap();

    observer.event(Event::Phase { phase: Phase::Export });
    let checksums = extracted.samples.iter().map(|&index| (&images[index].checksum, images[index].sample.class));
    network.spec.training = Some(TrainingRecord {
        base: task.base_name.to_owned(),
        base_sha256: task.base.sha256(),
        dataset_sha256: data::checksum(&dataset.labels, checksums),
        strategy: strategy.name().to_owned(),
        seed: task.options.seed,
        options: json!(task.options),
        metrics,
        created_by: concat!("graft ", env!("CARGO_PKG_VERSION")).to_owned(),
    });
    let file = task.base.export(&network)?;
    let shown = golden_rows(&split);
    let shown_images = golden_images(shown.iter().map(|&row| samples[row]))?;
    let golden = match task.base {
        Base::Network(_) => golden::answers(&network, shown_images)?,
        Base::File(_) => golden::recorded(shown_images, &trained.head.logits(&plain.rows(&shown).features)),
    };
    seconds.export = clock.lap();

    observer.event(Event::Phase { phase: Phase::Parity });
    let compared = if validated { &split.validation } else { &split.test };
    // Whether the file is right shows in some of the images; more only take time.
    let step = compared.len().div_ceil(COMPARED).max(1);
    let logits: Vec<f32> = outcome.logits.chunks(labels).step_by(step).flatten().copied().collect();
    let compared: Vec<_> = compared.iter().step_by(step).map(|&row| samples[row]).collect();
    let parity = verify::parity(task, &network, &file, (&compared, &logits), observer)?;
    seconds.parity = clock.lap();
    seconds.total = clock.total();

    if let Some(folder) = checkpoints {
        // The run is over; what it went on from is of no use any more.
        std::fs::remove_dir_all(folder).ok();
    }

    let report = FinetuneReport {
        base: task.base_name.to_owned(),
        labels: dataset.labels.names().to_vec(),
        images: ImageCounts {
            train: split.train.len(),
            validation: split.validation.len(),
            test: split.test.len(),
            skipped: dataset.samples.len() - extracted.samples.len(),
            cached: extracted.cached,
        },
        options: task.options,
        engine: task.engine,
        kernels: task.kernels.to_string(),
        seconds,
        strategy,
        best_epoch: outcome.best_epoch,
        epochs: outcome.history,
        validation: outcome.validation,
        test: outcome.test,
        parity,
    };
    Ok(Finetuned { content: task.base.content(network, file), report, golden })
}

/// The base with the trained head.
fn assemble(
    base: &Network,
    graph: models::Graph,
    trained: &Trained,
    spec: ModelSpec,
) -> Result<Network, FinetuneError> {
    let mut params = base.params.clone();
    let head = graph.node(graph.output());
    for (name, tensor) in head.params.iter().zip([&trained.head.weight, &trained.head.bias]) {
        params.insert(name, tensor.clone());
    }
    Ok(Network::new(graph, &params, spec)?)
}

/// What training measured.
struct Outcome {
    best_epoch: usize,
    history: Vec<Event>,
    validation: Evaluation,
    /// `[n, classes]` for the validation images, or, where there are none, for the test images.
    logits: Vec<f32>,
    test: Evaluation,
}

impl Outcome {
    fn of_head(trained: &Trained, compared: &Examples, test: &Examples) -> Self {
        let classes = trained.head.bias.data().len();
        Self {
            best_epoch: trained.best_epoch,
            history: trained.history.clone(),
            validation: trained.validation.clone(),
            logits: trained.head.logits(&compared.features),
            test: Evaluation::new(&trained.head.logits(&test.features), &test.classes, classes),
        }
    }
}

impl From<TuneResult> for Outcome {
    fn from(tuned: TuneResult) -> Self {
        let TuneResult { best_epoch, history, validation, logits, test, .. } = tuned;
        Self { best_epoch, history, validation, logits, test }
    }
}

/// Rows of test images of different classes.
fn golden_rows(split: &Split) -> Vec<usize> {
    let step = split.test.len().div_ceil(GOLDEN_IMAGES).max(1);
    split.test.iter().copied().step_by(step).collect()
}

/// The files of images, by names that tell no path.
fn golden_images<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<(String, Vec<u8>)>, FinetuneError> {
    let named = samples.enumerate().map(|(number, sample)| {
        let ending = sample.path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        Ok((format!("{number}.{ending}"), sample.read(&models::preprocess::Limits::default())?))
    });
    named.collect()
}

/// Wall-clock time, phase by phase.
struct Clock {
    start: Instant,
    lap: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, lap: now }
    }

    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        (now - std::mem::replace(&mut self.lap, now)).as_secs_f64()
    }

    fn total(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
