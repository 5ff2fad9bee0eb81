//! `graft lr-find`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use server::store::ModelName;
use trainer::fit::{Logs, Probe, RangeOptions, RangeTest, Task, range_test};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::recipe::{RecipeArgs, TrainingDraft, TrainingSetup};
use super::{CommandContext, output};

#[derive(Debug, Args)]
pub(super) struct LrFindArgs {
    #[command(flatten)]
    recipe: RecipeArgs,

    /// A stored model that a new head is grafted upon, in the place of the recipe's network; all of it is trained,
    /// unless the recipe says how much [default: what the recipe grafts upon, if it does]
    #[arg(long, env = "GRAFT_BASE", value_name = "MODEL")]
    base: Option<ModelName>,

    /// How many steps, each at a rate that is higher by the same factor
    #[arg(long, env = "GRAFT_STEPS", value_name = "N", default_value_t = RangeOptions::default().steps)]
    steps: u64,

    /// The first learning rate
    #[arg(long, env = "GRAFT_LOW", value_name = "RATE", default_value_t = RangeOptions::default().low)]
    low: f64,

    /// The last learning rate
    #[arg(long, env = "GRAFT_HIGH", value_name = "RATE", default_value_t = RangeOptions::default().high)]
    high: f64,

    /// The table of all steps
    #[arg(long, env = "GRAFT_OUT", value_name = "FILE", default_value = "lr-find.csv")]
    out: PathBuf,
}

/// Rows of the table that is printed; all are in the file.
const ROWS: usize = 20;

pub(super) fn run(args: &LrFindArgs, context: &CommandContext) -> Result<()> {
    let options = RangeOptions { low: args.low, high: args.high, steps: args.steps, ..RangeOptions::default() };
    options.validate()?;
    let mut progress = Progress::until(Interrupt::listen()?);
    let (name, recipe) = args.recipe.open([])?;
    let draft = TrainingDraft { name, recipe, base: args.base.as_ref() };
    let setup = args.recipe.prepare(draft, context, &mut progress)?;
    setup.announce()?;
    let TrainingSetup { plan, kernels, .. } = &setup;
    let task = Task {
        graph: &plan.graph,
        params: &plan.params,
        trains: &*plan.trains,
        training: &plan.training,
        label_sets: None,
        teacher: plan.soft_targets.as_ref(),
        validation: None,
        options: &plan.options,
        backend: &kernels.kernels,
        checkpoints: None,
        logs: Logs::default(),
    };
    let tested = range_test(&task, &options, &mut progress);
    progress.finish();
    let tested = tested?;
    write(&args.out, &tested.probes).with_context(|| format!("cannot write {}", args.out.display()))?;
    show(&tested)?;
    output::line(format_args!("wrote {}", args.out.display()))?;
    Ok(())
}

fn show(tested: &RangeTest) -> Result<()> {
    let step = tested.probes.len().div_ceil(ROWS).max(1);
    let row =
        |probe: &Probe| [format!("{:.2e}", probe.rate), format!("{:.4}", probe.loss), format!("{:.4}", probe.smoothed)];
    let rows: Vec<[String; 3]> = tested.probes.iter().step_by(step).map(row).collect();
    output::table(["RATE", "LOSS", "SMOOTHED"], &rows)?;
    match tested.suggestion {
        Some(suggestion) => output::line(format_args!(
            "the loss falls fastest at {:.1e}; a tenth of where it is lowest is {:.1e}; begin between them",
            suggestion.steepest, suggestion.tenth_of_lowest
        ))?,
        None => output::line(format_args!(
            "the loss falls at none of these rates; try other ones with --low and --high, or more steps"
        ))?,
    }
    Ok(())
}

fn write(path: &Path, probes: &[Probe]) -> Result<()> {
    let mut table = String::from("step,rate,loss,smoothed\n");
    for (step, Probe { rate, loss, smoothed }) in probes.iter().enumerate() {
        table += &format!("{step},{rate:e},{loss},{smoothed}\n");
    }
    Ok(std::fs::File::create(path)?.write_all(table.as_bytes())?)
}
