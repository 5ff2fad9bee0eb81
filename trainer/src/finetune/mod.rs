//! From a base model and a data set to a new model.

mod auto;
mod extract;
mod strategy;
mod tune;
mod verify;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use models::graph::{Grafted, GraphError};
use models::params::ParamsError;
use models::spec::TrainingRecord;
use models::{ModelSpec, Network};
use onnx::{EngineError, EngineKind, ExportError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use crate::dataset::{self, BadFiles, DatasetError, Fractions, Opening, Partition, Sample, Source, Split};
use crate::events::{Event, Observer, Phase};
use crate::exec::{ExecError, Kernels};
use crate::features::CacheError;
use crate::fit::FitError;
use crate::golden::{self, Golden, GoldenError};
use crate::head::{self, Examples, HeadError, HeadOptions, Trained};
use crate::metrics::Evaluation;
use crate::report::{Images, Report, Seconds};

pub use strategy::{Strategy, Tuning, stage_boundary, trained};

use tune::{Start, Tuned};

/// The name of the new head's node and, with `.weight` and `.bias`, of its parameters.
const HEAD: &str = "graft.head";
/// How many golden images a model carries.
const GOLDEN_IMAGES: usize = 4;

/// What the user may choose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What is trained.
    pub strategy: Strategy,
    /// Fixed looks at each training image whose features are computed: plain, mirrored, then crops.
    pub views: usize,
    /// How layers of the base are trained, where the strategy trains any.
    pub tuning: Tuning,
    /// Passes of the head over the features.
    pub epochs: usize,
    /// Images a step of the head.
    pub batch_size: usize,
    /// The head's first learning rate; it falls to zero along a cosine.
    pub learning_rate: f64,
    /// L2 penalty on the head's weights while it is trained alone.
    pub weight_decay: f64,
    /// The share of each target that is spread over all classes, 0..1.
    pub label_smoothing: f64,
    /// Decides the split and the order of the images.
    pub seed: u64,
    /// The share of each class that chooses the best epoch, 0..1; with 0 the last epoch is kept.
    pub validation: f64,
    /// The share of each class that measures the result, 0..1.
    pub test: f64,
    /// What to do with images that cannot be read.
    pub bad_files: BadFiles,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: Strategy::Head,
            views: 1,
            tuning: Tuning::default(),
            epochs: 60,
            batch_size: 64,
            learning_rate: 0.01,
            weight_decay: 0.03,
            label_smoothing: 0.1,
            seed: 0,
            validation: 0.05,
            test: 0.25,
            bad_files: BadFiles::Refuse,
        }
    }
}

impl Options {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`FinetuneError::Option`] naming the first that does not.
    pub fn validate(&self) -> Result<(), FinetuneError> {
        let share = |share: f64| (0.0..0.9).contains(&share);
        let positive = |number: f64| number.is_finite() && number > 0.0;
        self.tuning.validate()?;
        let table = [
            ((1..=64).contains(&self.views), "views", "from 1 to 64"),
            (self.epochs > 0, "epochs", "at least 1"),
            (self.batch_size > 0, "batch_size", "at least 1"),
            (positive(self.learning_rate), "learning_rate", "a positive number"),
            (self.weight_decay.is_finite() && self.weight_decay >= 0.0, "weight_decay", "zero or more"),
            ((0.0..1.0).contains(&self.label_smoothing), "label_smoothing", "a share from 0 to 1"),
            (share(self.validation), "validation", "a share from 0 to 0.9"),
            (share(self.test), "test", "a share from 0 to 0.9"),
            (share(self.validation + self.test), "validation", "together with `test` less than 0.9"),
        ];
        match table.iter().find(|(right, ..)| !right) {
            Some(&(_, option, wanted)) => Err(FinetuneError::Option { option, wanted }),
            None => Ok(()),
        }
    }

    pub(crate) fn head(&self) -> HeadOptions {
        HeadOptions {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            label_smoothing: self.label_smoothing,
            seed: self.seed,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The base model's name, for the record.
    pub base_name: &'a str,
    /// The network to graft upon.
    pub base: &'a Network,
    /// The images.
    pub source: &'a Source,
    /// The user's choices.
    pub options: Options,
    /// Where features are kept.
    pub cache: &'a Path,
    /// What runs the frozen part.
    pub engine: EngineKind,
    /// How many threads it may use.
    pub threads: NonZeroUsize,
    /// What trains layers of the base.
    pub kernels: &'a Kernels,
}

/// A new model.
#[derive(Debug, Clone)]
pub struct Finetuned {
    /// The network with its new head and spec.
    pub network: Network,
    /// What was done and measured.
    pub report: Report,
    /// Test images with their logits.
    pub golden: Vec<Golden>,
}

/// Why no model came of it.
#[derive(Debug, Error)]
pub enum FinetuneError {
    /// The observer asked to stop.
    #[error("stopped")]
    Stopped,
    /// A number that makes no sense.
    #[error("`{option}` must be {wanted}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it may be.
        wanted: &'static str,
    },
    /// The images are not a data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The base cannot be given a head.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The base's weights are not its graph's.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The model cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The executor failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The golden images failed.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The head cannot be trained.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The features cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Layers of the base cannot be trained.
    #[error(transparent)]
    Fit(FitError),
    /// Feature maps that do not fit into memory.
    #[error(
        "the feature maps of these images take {needed} MiB, more than {limit}; use fewer `views`, fewer images, or the \
         strategy `staged`"
    )]
    Memory {
        /// In MiB.
        needed: usize,
        /// In MiB.
        limit: usize,
    },
    /// The exported file gives other answers than the trained network.
    #[error("the exported model disagrees with the trained one on {engine}: {reason}; nothing is published")]
    Parity {
        /// Which engine.
        engine: EngineKind,
        /// Where, and by how much.
        reason: String,
    },
}

impl From<FitError> for FinetuneError {
    fn from(error: FitError) -> Self {
        match error {
            FitError::Stopped => FinetuneError::Stopped,
            error => FinetuneError::Fit(error),
        }
    }
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
    let mut clock = Clock::start();
    let mut seconds = Seconds::default();

    observer.event(Event::Phase { phase: Phase::Data });
    let dataset = task.source.open_in(&Opening { cache: Some(task.cache), ..Opening::default() })?;
    let Grafted { graph, features, head } = task.base.graph.graft(HEAD, dataset.labels.len())?;
    let prefix = prefix(task.base, &graph.prefix(features))?;
    let images = extract::check(&dataset, task.options.bad_files, observer)?;
    seconds.data = clock.lap();

    observer.event(Event::Phase { phase: Phase::Features });
    let extracted = extract::features(task, &prefix, &images, observer)?;
    dataset::check_classes(&dataset.labels, extracted.samples.iter().map(|&index| &images[index].sample))?;
    let fractions = Fractions { validation: task.options.validation, test: task.options.test };
    let parts: Vec<_> =
        extracted.samples.iter().map(|&index| &images[index].sample).map(|s| (s.class, s.part)).collect();
    let split = Split::new(&parts, Partition::Fractions(fractions), task.options.seed);
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
    let spec = ModelSpec { labels: Some(dataset.labels.clone()), training: None, ..task.base.spec.clone() };
    let mut network = assemble(task.base, graph, &trained, spec)?;
    let samples: Vec<&Sample> = extracted.samples.iter().map(|&index| &images[index].sample).collect();
    let mut start =
        Start { task, network: &network, head, samples: &samples, split: &split, strategy: task.options.strategy };
    if start.strategy == Strategy::Auto {
        let choice = auto::choose(&start)?;
        observer.event(Event::Note { message: choice.why });
        start.strategy = choice.strategy;
    }
    let strategy = start.strategy;
    let mut checkpoints = None;
    if strategy != Strategy::Head {
        let tuned = tune::tune(&start, observer)?;
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
        base_sha256: task.base.params.checksum(),
        dataset_sha256: dataset::checksum(&dataset.labels, checksums),
        strategy: strategy.name().to_owned(),
        seed: task.options.seed,
        options: json!(task.options),
        metrics,
        created_by: concat!("graft ", env!("CARGO_PKG_VERSION")).to_owned(),
    });
    let file = onnx::export(&network, &onnx::ExportOptions::default())?;
    let golden = golden::answers(&network, golden_images(&images, &extracted.samples, &split)?)?;
    seconds.export = clock.lap();

    observer.event(Event::Phase { phase: Phase::Parity });
    let compared = if validated { &split.validation } else { &split.test };
    let compared: Vec<_> = compared.iter().map(|&row| samples[row]).collect();
    let parity = verify::parity(task, &network, &file, (&compared, &outcome.logits), observer)?;
    seconds.parity = clock.lap();
    seconds.total = clock.total();

    if let Some(folder) = checkpoints {
        // The run is over; what it went on from is of no use any more.
        std::fs::remove_dir_all(folder).ok();
    }

    let report = Report {
        base: task.base_name.to_owned(),
        labels: dataset.labels.names().to_vec(),
        images: Images {
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
    Ok(Finetuned { network, report, golden })
}

/// The frozen part as an ONNX file: a backbone with the base's preprocessing.
fn prefix(base: &Network, graph: &models::Graph) -> Result<Vec<u8>, FinetuneError> {
    let spec = ModelSpec { labels: None, training: None, ..base.spec.clone() };
    let backbone = Network::new(graph.clone(), &base.params, spec)?;
    Ok(onnx::export(&backbone, &onnx::ExportOptions::default())?)
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

impl From<Tuned> for Outcome {
    fn from(tuned: Tuned) -> Self {
        let Tuned { best_epoch, history, validation, logits, test, .. } = tuned;
        Self { best_epoch, history, validation, logits, test }
    }
}

/// Test images of different classes.
fn golden_images(
    images: &[extract::Image],
    samples: &[usize],
    split: &Split,
) -> Result<Vec<(String, Vec<u8>)>, FinetuneError> {
    let step = split.test.len().div_ceil(GOLDEN_IMAGES).max(1);
    let chosen = split.test.iter().step_by(step).map(|&row| &images[samples[row]].sample).enumerate();
    let named = chosen.map(|(number, sample)| {
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
