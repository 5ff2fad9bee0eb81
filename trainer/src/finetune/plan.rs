//! What a fine-tune would do, how long it would take and how much memory, without training anything.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::extract;
use super::forecast::Workload;
use super::head::{HeadKind, HeadSolver};
use super::prepare::{self, Preparation};
use super::probe::article;
use super::strategy::FinetuneStrategy;
use super::{Base, FinetuneError, FinetuneOptions, Task};
use crate::data::BadFilePolicy;
use crate::events::{Event, Observer, Phase, PhaseEstimate};

/// Bytes that the process takes beside images, features and networks.
const PROCESS: u64 = 80 << 20;
/// Bytes of a pixel while an image is decoded.
const PIXEL: u64 = 16;
/// Images in one run of the engine.
const BATCH: u64 = 8;

/// What a fine-tune would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrainingPlan {
    /// Every option in force, and why.
    pub options: Vec<PlannedOption>,
    /// Images whose features are cached already.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub cached: usize,
    /// How long each phase would take on this machine, beside what else it does now.
    pub phases: Vec<PhaseEstimate>,
    /// How long all of it would take, in seconds.
    #[cfg_attr(feature = "openapi", schema(example = 41.0))]
    pub seconds: f64,
    /// The most memory that it would take, in bytes.
    #[cfg_attr(feature = "openapi", schema(example = 410_000_000))]
    pub memory_bytes: u64,
}

/// An option in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedOption {
    /// The option, with the path to it.
    #[cfg_attr(feature = "openapi", schema(example = "tuning.epochs"))]
    pub option: String,
    /// Its value. `auto` is resolved.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub value: Value,
    /// Why it is this value.
    #[cfg_attr(feature = "openapi", schema(example = "default"))]
    pub reason: String,
}

/// Plans a fine-tune: reads the images, times the base on a few of them, and a training step if layers of the base would be
/// trained. Bad files are left out.
///
/// # Errors
/// [`FinetuneError`] for what [`finetune`](super::finetune) refuses as well.
pub fn plan(task: &Task<'_>, observer: &mut dyn Observer) -> Result<TrainingPlan, FinetuneError> {
    let options = FinetuneOptions { bad_files: BadFilePolicy::Skip, ..task.options.clone() };
    let lenient = &Task { options, ..task.clone() };
    observer.event(Event::Phase { phase: Phase::Data });
    let preparation = prepare::prepare(lenient, observer)?;
    let missing = extract::missing(lenient, &preparation)?;
    let mut workload = Workload::new(lenient, &preparation, missing)?;
    if let Some(seconds) = extract::row_seconds(lenient, &preparation)? {
        workload.row_seconds = seconds;
    }
    let phases = workload.phases();
    let views = task.options.views.max(1);
    Ok(TrainingPlan {
        options: options_in_force(task, &preparation, &workload),
        cached: preparation.images.len() - missing.div_ceil(views).min(preparation.images.len()),
        seconds: phases.iter().map(|phase| phase.seconds).sum(),
        memory_bytes: memory(task, &preparation, &workload),
        phases,
    })
}

/// Every option with its value and the reason for it.
fn options_in_force(task: &Task<'_>, preparation: &Preparation, workload: &Workload) -> Vec<PlannedOption> {
    let (asked, defaults) = (json!(task.options), json!(FinetuneOptions::default()));
    let mut options = Vec::new();
    list("", &asked, &defaults, &mut options);
    let mut resolve = |option: &str, value: Value, reason: String| {
        if let Some(planned) = options.iter_mut().find(|planned| planned.option == option) {
            (planned.value, planned.reason) = (value, reason);
        }
    };
    if task.options.strategy == FinetuneStrategy::Auto {
        let strategy = workload.tuning.map_or(FinetuneStrategy::Head, |(strategy, ..)| strategy);
        let classes = preparation.dataset.labels.len();
        let reason = workload.reason(task.base, classes);
        resolve("strategy", json!(strategy), reason);
    }
    if task.options.head_solver == HeadSolver::Auto {
        let (value, reason) = match task.options.solver() {
            HeadSolver::Sgd => (HeadSolver::Sgd, "an option of SGD was set"),
            _ => (
                HeadSolver::Lbfgs,
                "the features fit into memory, and transform and penalty are chosen by cross-validation",
            ),
        };
        resolve("head_solver", json!(value), reason.to_owned());
    }
    if workload.validation == 0 {
        let reason = "nothing has epochs to choose from, so that all these images train";
        resolve("validation", json!(0.0), reason.to_owned());
    }
    options
}

fn list(prefix: &str, asked: &Value, default: &Value, into: &mut Vec<PlannedOption>) {
    match asked {
        Value::Object(fields) => {
            for (name, value) in fields {
                let option = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                list(&option, value, &default[name], into);
            }
        }
        value => {
            let reason = if value == default { "default" } else { "asked for" };
            let (option, value, reason) = (prefix.to_owned(), value.clone(), reason.to_owned());
            into.push(PlannedOption { option, value, reason });
        }
    }
}

/// The most bytes of the phases, which follow each other.
fn memory(task: &Task<'_>, preparation: &Preparation, workload: &Workload) -> u64 {
    let (weights, inference, training) = match task.base {
        Base::Network(network) => {
            let counts = network.graph.counts();
            (counts.weight_bytes, counts.inference_bytes, counts.training_bytes)
        }
        Base::File(_) => (preparation.prefix.len() as u64, preparation.prefix.len() as u64, 0),
    };
    let rows = (preparation.images.len() * task.options.views) as u64;
    let features = rows * 4 * preparation.features.shape().len() as u64;
    let decoding = task.engine.threads.get() as u64 * PIXEL * typical_pixels(preparation);
    let extracting = features + 2 * weights + BATCH * inference + decoding;
    // The features, those of the candidate, and the folds of them.
    let probing = 3 * features + weights + head_bytes(task, preparation);
    let tuning = match workload.tuning {
        None => 0,
        Some(_) => features + 4 * weights + task.options.tuning.batch_size as u64 * training + decoding,
    };
    let verifying = features + 6 * weights + 16 * inference;
    PROCESS + extracting.max(probing).max(tuning).max(verifying)
}

/// The bytes of the article's head while it is trained; those of a linear head are few.
fn head_bytes(task: &Task<'_>, preparation: &Preparation) -> u64 {
    let (width, classes) = (preparation.features.shape().len(), preparation.dataset.labels.len());
    match task.options.head {
        HeadKind::Linear => 0,
        HeadKind::Article => article::training_bytes(article::weights(width, classes)) as u64,
    }
}

/// Pixels of an image, told by the sizes of the files: a photograph has some eight pixels for a byte.
fn typical_pixels(preparation: &Preparation) -> u64 {
    let sample = preparation.images.first().map(|image| &image.sample);
    let bytes = sample.and_then(|sample| std::fs::metadata(&sample.path).ok()).map_or(1 << 17, |file| file.len());
    8 * bytes
}
