//! A recipe followed, in a folder of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use models::files::write_atomically;
use models::preprocess::Limits;
use models::spec::TrainingRecord;
use models::{ModelSpec, Network};
use onnx::ExportOptions;
use onnx::export::BatchNormalization;
use rayon::prelude::*;
use serde_json::json;

use super::{Plan, Recipe, RecipeError, RunOptions};
use crate::backend::{ComputeBackend, ExecutorSpec};
use crate::data::{Checksum, DatasetError, checksum};
use crate::events::{Event, Observer, Phase};
use crate::fit::{self, CheckpointOptions, Fitted, LogOptions, Logs, Progress, Run, Task};
use crate::logs::{CsvLog, EventLog, Log, LogError, LogStart};
use crate::metrics::Evaluation;

/// A training as its recipe says, and where its files go.
#[derive(Clone, Copy)]
pub struct RunFolder<'a> {
    /// The recipe's name, for the record.
    pub name: &'a str,
    /// What was asked for, and is stored beside the result.
    pub recipe: &'a Recipe,
    /// The recipe with its images.
    pub plan: &'a Plan,
    /// The folders to write to.
    pub paths: &'a RunPaths,
    /// The compute backend.
    pub backend: &'a ComputeBackend,
    /// Whether there must be a checkpoint.
    pub resume: Resume,
}

/// The folders of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    /// The run's own folder.
    pub folder: PathBuf,
    /// The folder of its checkpoints, in its own.
    pub checkpoints: PathBuf,
}

/// Whether a run must resume from a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Resumes if there is a checkpoint, and starts otherwise.
    IfPossible,
    /// Fails if there is no checkpoint.
    Required,
}

/// A run that has read its checkpoint and not yet trained.
pub struct OpenRun<'a> {
    of: RunFolder<'a>,
    run: Run<'a>,
}

/// What a run leaves.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// The file of the best weights.
    pub model: PathBuf,
    /// What was measured while it trained.
    pub progress: Progress,
    /// The share of the time in which the network waited for images, 0..1.
    pub idle: f64,
    /// The result on the data set's test subset, if it has one and it did not choose the epoch.
    pub test: Option<Evaluation>,
}

/// The effective recipe, beside what came of it.
const RECIPE: &str = "recipe.toml";
/// The table of epochs with its columns.
const METRICS: LogTable = LogTable {
    file_name: "metrics.csv",
    columns: &["train_loss", "train_top1", "learning_rate", "validation_loss", "validation_top1"],
};
/// That of steps, which is in a folder of its own.
const STEPS: LogTable = LogTable { file_name: "steps.csv", columns: &["train_loss", "learning_rate"] };
const STEPS_FOLDER: &str = "steps";

/// A CSV file of measurements.
#[derive(Debug, Clone, Copy)]
struct LogTable {
    file_name: &'static str,
    columns: &'static [&'static str],
}

impl RunPaths {
    /// Where a run of this recipe is kept in a folder, under the name that the recipe gives it, or else under this.
    #[must_use]
    pub fn new(out: &Path, recipe: &Recipe, name: &str) -> Self {
        let folder = out.join(recipe.run.id.as_deref().unwrap_or(name));
        Self { checkpoints: folder.join(&recipe.run.checkpoints), folder }
    }
}

impl<'a> RunFolder<'a> {
    /// Makes the folder, or finds what is in it.
    ///
    /// # Errors
    /// [`RecipeError::OtherRecipe`] for a run of other settings, [`RecipeError::NothingToResume`].
    pub fn open(self) -> Result<OpenRun<'a>, RecipeError> {
        let RunFolder { recipe, plan, backend, paths: RunPaths { folder, checkpoints }, .. } = self;
        let written = folder.join(RECIPE);
        let begun = fs::read_dir(checkpoints).is_ok_and(|mut files| files.next().is_some());
        match fs::read_to_string(&written) {
            Ok(text) if begun && !Recipe::parse(&text, &[]).is_ok_and(|old| same_run(&old, recipe)) => {
                return Err(RecipeError::OtherRecipe { folder: folder.clone() });
            }
            _ => fs::create_dir_all(folder).map_err(at(folder))?,
        }
        let text = toml::to_string(recipe).map_err(|error| RecipeError::Text(error.to_string()))?;
        write(&written, text.as_bytes())?;
        let task = Task {
            graph: &plan.graph,
            params: &plan.params,
            trains: &*plan.trains,
            training: &plan.training,
            label_sets: None,
            teacher: plan.soft_targets.as_ref(),
            validation: plan.validation.as_ref().map(|images| images as &dyn fit::Examples),
            options: &plan.options,
            backend,
            checkpoints: Some(checkpoints),
            logs: Logs::default(),
        };
        let run = Run::prepare(task)?;
        let Progress { step, epoch, .. } = *run.progress();
        if self.resume == Resume::Required && (step, epoch) == (0, 0) {
            return Err(RecipeError::NothingToResume { folder: folder.clone() });
        }
        Ok(OpenRun { of: self, run })
    }
}

/// Whether two recipes are of one run: apart from how long it goes on, and what is kept and shown of it.
fn same_run(a: &Recipe, b: &Recipe) -> bool {
    let core = |recipe: &Recipe| {
        let mut recipe = Recipe { summary: String::new(), run: RunOptions::default(), ..recipe.clone() };
        (recipe.training.epochs, recipe.training.steps) = (0, None);
        (recipe.training.checkpoints, recipe.training.logging) = (CheckpointOptions::default(), LogOptions::default());
        recipe
    };
    core(a) == core(b)
}

impl OpenRun<'_> {
    /// The step that it goes on from; 0 at the beginning.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.run.progress().step
    }

    /// Epochs that are over.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.run.progress().epoch
    }

    /// Of steps, if any have rows. They are in a folder of their own, a run of its own for TensorBoard: there, where a log
    /// goes on is said for all numbers of a folder at once, and a step's row can be behind it where its epoch's is not.
    fn step_logs(&self) -> Result<Vec<Log>, RecipeError> {
        if self.of.plan.options.logging.every_steps == 0 {
            return Ok(vec![]);
        }
        let start = match self.step() {
            0 => LogStart::New,
            step => LogStart::After(step),
        };
        let folder = self.of.paths.folder.join(STEPS_FOLDER);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(logs(&folder, STEPS, start)?)
    }

    /// Trains to the end, and writes the network with the best weights.
    ///
    /// # Errors
    /// [`RecipeError`]; checkpoints remain.
    pub fn finish(mut self, observer: &mut dyn Observer) -> Result<RunResult, RecipeError> {
        let RunFolder { recipe, plan, paths: RunPaths { folder, .. }, .. } = self.of;
        let start = match *self.run.progress() {
            Progress { step: 0, .. } => LogStart::New,
            Progress { step, batch: 0, .. } => LogStart::After(step),
            // A row of this step is of the epoch's end, which is still to come: the run was killed right behind that row.
            Progress { step, .. } => LogStart::After(step - 1),
        };
        self.run.log_to(Logs { epochs: logs(folder, METRICS, start)?, steps: self.step_logs()? });
        observer.event(Event::Phase { phase: Phase::Training });
        let fitted = self.run.finish(observer)?;
        if let (Some(wanted), Some(best)) = (recipe.run.least_accuracy, &fitted.progress.best)
            && best.top1 < wanted
        {
            return Err(RecipeError::TooBad { wanted, found: best.top1 });
        }
        observer.event(Event::Phase { phase: Phase::Export });
        let test = match &plan.test {
            None => None,
            Some(images) => {
                let executor = self
                    .of
                    .backend
                    .exact()
                    .open(&ExecutorSpec::frozen(&plan.graph, &fitted.params))
                    .map_err(fit::FitError::from)?;
                Some(fit::evaluate(&*executor, images, None, plan.options.batch_size)?)
            }
        };
        let model = folder.join(format!("{}.onnx", recipe.run.model));
        let network = network(&self.of, &fitted, test.as_ref())?;
        // Batch normalisation stays, so that the file can be trained further.
        let options = ExportOptions { batch_norm: BatchNormalization::Keep, ..ExportOptions::default() };
        write(&model, &onnx::export(&network, &options)?)?;
        Ok(RunResult { model, progress: fitted.progress, idle: fitted.idle, test })
    }
}

/// A table and an event file in a folder.
fn logs(folder: &Path, table: LogTable, start: LogStart) -> Result<Vec<Log>, LogError> {
    let table = CsvLog::open(&folder.join(table.file_name), table.columns, start)?;
    Ok(vec![Log::Csv(table), Log::TensorBoard(EventLog::create(folder, start)?)])
}

/// The trained network with its record.
fn network(of: &RunFolder<'_>, fitted: &Fitted, test: Option<&Evaluation>) -> Result<Network, RecipeError> {
    let RunFolder { name, recipe, plan, backend, .. } = *of;
    let best = fitted.progress.best.as_ref();
    let record = TrainingRecord {
        base: recipe.base.clone().unwrap_or_else(|| "random weights".to_owned()),
        base_sha256: plan.params.checksum(),
        dataset_sha256: dataset_checksum(plan)?,
        snapshot: plan.snapshot.as_ref().map(ToString::to_string),
        strategy: format!("recipe {name}"),
        seed: plan.options.seed,
        // Names of folders are not part of what was trained.
        options: json!(Recipe { run: RunOptions::default(), ..(*recipe).clone() }),
        metrics: json!({
            "kernels": backend.to_string(),
            "steps": fitted.progress.step,
            "best_epoch": best.map(|best| best.epoch),
            "validation_top1": plan.validation.as_ref().and(best).map(|best| best.top1),
            "test_top1": test.map(|test| test.top1),
            "test_images": test.map(|test| test.images),
        }),
        created_by: concat!("graft ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let spec = ModelSpec {
        architecture: plan.architecture.clone(),
        labels: Some(plan.labels.clone()),
        preprocess: plan.preprocess.clone(),
        scores: models::spec::ScoreSpec::default(),
        training: Some(record),
    };
    Ok(Network::new(plan.graph.clone(), &fitted.params, spec)?)
}

/// Over the training images that can be read.
fn dataset_checksum(plan: &Plan) -> Result<String, RecipeError> {
    let limits = Limits::default();
    let of = |sample: &crate::data::Sample| match sample.read(&limits) {
        Ok(bytes) => Ok(Some((Checksum::of(&bytes), sample.class))),
        Err(DatasetError::Image { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    let checksums = plan.samples.par_iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let images = checksums.iter().flatten();
    Ok(checksum(images.map(|(checksum, class)| (checksum, plan.labels.get(*class).into_iter()))))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RecipeError> {
    write_atomically(path, bytes).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RecipeError {
    move |source| RecipeError::Io { path: path.to_owned(), source }
}
