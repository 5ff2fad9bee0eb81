//! `graft train`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use trainer::fit::{CheckpointError, FitError, ImageExamples};
use trainer::recipe::{
    BUILTIN, BuiltinRecipe, OpenRun, Recipe, RecipeError, Resume, RunFolder, RunPaths, RunResult, Setting, find,
};

use super::interrupt::Interrupt;
use super::progress::{Metric, Progress};
use super::recipe::{RecipeArgs, TrainingDraft, TrainingSetup};
use super::{CommandContext, output};

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    recipe: RecipeArgs,

    /// The folder of runs; each has a folder of its own in it
    #[arg(long, env = "GRAFT_OUT", value_name = "DIR", default_value = "runs")]
    out: PathBuf,

    /// The name of the run's folder [default: what the recipe says, else its name]
    #[arg(long, env = "GRAFT_RUN_ID", value_name = "ID")]
    run_id: Option<String>,

    /// Do nothing unless there is a checkpoint to go on from; without this it goes on where there is one
    #[arg(long, env = "GRAFT_RESUME")]
    resume: bool,

    /// Passes over the training images [default: the recipe's]
    #[arg(long, env = "GRAFT_TRAIN_EPOCHS", value_name = "N")]
    epochs: Option<u32>,

    /// List the recipes
    #[arg(long, conflicts_with_all = ["recipe", "data", "show"])]
    list: bool,

    /// Print a recipe
    #[arg(long, value_name = "NAME", conflicts_with_all = ["recipe", "data"])]
    show: Option<String>,
}

pub(super) fn run(args: &TrainArgs, context: &CommandContext) -> Result<()> {
    if args.list {
        return list();
    }
    if let Some(name) = &args.show {
        let recipe =
            find(name).with_context(|| format!("there is no recipe `{name}`; `graft train --list` lists them"))?;
        return Ok(output::line(format_args!("{}", recipe.text.trim_end()))?);
    }
    train(args, context)
}

fn list() -> Result<()> {
    let row = |recipe: &BuiltinRecipe| Ok([recipe.name.to_owned(), Recipe::parse(recipe.text, &[])?.summary]);
    let rows: Vec<[String; 2]> = BUILTIN.iter().map(row).collect::<Result<_, RecipeError>>()?;
    Ok(output::table(["RECIPE", "WHAT"], &rows)?)
}

fn train(args: &TrainArgs, context: &CommandContext) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut progress = Progress::until(interrupt);
    let (name, recipe) = args.recipe.open(args.settings())?;
    let setup = args.recipe.prepare(TrainingDraft { name, recipe, base: None }, context, &mut progress)?;
    setup.announce()?;
    progress.show(if setup.recipe.run.show_metric { Metric::Shown } else { Metric::Hidden });
    let TrainingSetup { name, recipe, plan, .. } = &setup;
    let paths = RunPaths::new(&args.out, recipe, name);
    let backend = &setup.kernels.kernels;
    let resume = if args.resume { Resume::Required } else { Resume::IfPossible };
    let run = RunFolder { name, recipe, plan, paths: &paths, backend, resume }
        .open()
        .map_err(|error| explained(error, &paths))?;
    output::line(format_args!("{}", beginning(&run, &paths)))?;
    let trained = run.finish(&mut progress);
    progress.finish();
    match trained {
        Ok(trained) => {
            let skipped = [Some(&plan.training), plan.validation.as_ref(), plan.test.as_ref()];
            for bad in skipped.into_iter().flatten().flat_map(ImageExamples::skipped) {
                output::line(format_args!("left out: {}", bad.reason))?;
            }
            report(&trained, name)
        }
        Err(RecipeError::Fit(FitError::Stopped)) => {
            bail!("stopped, with a checkpoint in {}; the same command goes on from it", paths.checkpoints.display())
        }
        Err(error) => Err(error.into()),
    }
}

impl TrainArgs {
    /// What options other than `--set` mean for the recipe.
    fn settings(&self) -> Vec<Setting> {
        let id = self.run_id.as_ref().map(|id| Setting::new("run_id", id.as_str()));
        // A number of epochs is meant instead of the recipe's number of steps.
        let epochs =
            self.epochs.map(|epochs| [Setting::new("n_epoch", i64::from(epochs)), Setting::none("training.steps")]);
        id.into_iter().chain(epochs.into_iter().flatten()).collect()
    }
}

fn beginning(run: &OpenRun<'_>, paths: &RunPaths) -> String {
    let folder = paths.folder.display();
    match (run.step(), run.epoch()) {
        (0, 0) => format!("begins in {folder}"),
        (step, epoch) => format!("goes on in {folder} from step {step}, {epoch} epoch(s) behind it"),
    }
}

/// A run of something else is no reason to throw it away.
fn explained(error: RecipeError, paths: &RunPaths) -> anyhow::Error {
    match error {
        RecipeError::Fit(FitError::Checkpoint(CheckpointError::OtherRun { .. })) => {
            RecipeError::OtherRecipe { folder: paths.folder.clone() }.into()
        }
        error => error.into(),
    }
}

fn report(trained: &RunResult, name: &str) -> Result<()> {
    let progress = &trained.progress;
    if let Some(last) = progress.history.last() {
        let mut line = format!(
            "{} steps, {} epochs; training loss {:.4}, top-1 {:.1} %",
            progress.step,
            progress.epoch,
            last.train_loss,
            100.0 * last.train_top1
        );
        if let (Some(best), Some(_)) = (&progress.best, last.validation_top1) {
            line += &format!("; best epoch {}, validation top-1 {:.1} %", best.epoch, 100.0 * best.top1);
        }
        output::line(format_args!("{line}"))?;
    }
    if let Some(test) = &trained.test {
        output::line(format_args!("test top-1 {:.1} % of {} images", 100.0 * test.top1, test.images))?;
    }
    output::line(format_args!("{:.1} % of the time was spent waiting for images", 100.0 * trained.idle))?;
    let model = trained.model.display();
    output::line(format_args!("wrote {model}"))?;
    output::line(format_args!("serve it:  graft import {model} --name {name}  and then  graft serve"))?;
    Ok(())
}
