//! `graft finetune`.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use onnx::Provider;
use server::config::ProviderArgs;
use server::finetune::{self, DeployOptions, FinetuneSpec};
use server::run_context::RunContext;
use server::runtime::Backends;
use server::store::ModelName;
use trainer::data::FileAccess;
use trainer::events::PhaseEstimate;
use trainer::finetune::report::FinetuneReport;
use trainer::finetune::{FinetuneOptions, FinetuneStrategy};
use trainer::metrics::ClassResult;

use super::images::DatasetArgs;
use super::measures::{print_labels, summary};
use super::progress::{Progress, Quiet};
use super::{CommandContext, findings, output, percent, quantize};

#[derive(Debug, Args)]
pub(super) struct FinetuneArgs {
    /// The stored model to graft upon
    #[arg(long, env = "GRAFT_BASE", value_name = "MODEL", default_value = ModelName::STARTER)]
    base: ModelName,

    /// The images: a folder with one folder per class, a zip or tar archive of one, a CSV table, Oxford-17 or CIFAR-10;
    /// the name of a published data set, `oxford17` or `cifar10`; or `stored:NAME`, a stored data set, or `stored:NAME@N`, a
    /// snapshot of it
    #[arg(long, env = "GRAFT_DATA", value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    dataset: DatasetArgs,

    /// The name under which the result is stored [default: that of the folder, archive or data set]
    #[arg(long, env = "GRAFT_NAME")]
    name: Option<ModelName>,

    /// Train nothing: say what is wrong with the images, every option in force and why, and how long it would take and how much
    /// memory; `--plan=json` for programs
    #[arg(long, env = "GRAFT_PLAN", value_enum, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    plan: Option<PlanFormat>,

    #[command(flatten)]
    options: FinetuneOptions,

    #[command(flatten)]
    deploy: DeployOptions,

    #[command(flatten)]
    provider: ProviderArgs,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Letters of a name that is made of a folder's: short enough to be read in a table.
const LONGEST_NAME: usize = 40;

/// How many of the hardest classes are shown.
const HARDEST: usize = 5;

pub(super) fn run(args: &FinetuneArgs, context: &CommandContext) -> Result<()> {
    let mut progress = if args.plan.is_some() { Progress::on_stderr() } else { Progress::new() };
    context.store()?;
    let dataset = args.dataset.locate(&args.data, context, &mut progress)?;
    let dataset = dataset.into();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.data)?,
    };
    let options = args.options.clone();
    let (base_model, deploy) = (args.base.clone(), args.deploy);
    let spec = FinetuneSpec { base_model, dataset, name, options, deploy, webhook: None };
    match args.plan {
        Some(format) => plan(&spec, format, context, &context.backends_with(&args.provider)?),
        None => train(&spec, &args.provider, context),
    }
}

/// A model's name from that of its images: `Photos of 2024.zip` makes `photos-of-2024`.
fn name_of(data: &Path) -> Result<ModelName> {
    let whole = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let stem = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    let stem = stem.map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let stem = stem.strip_prefix("stored:").unwrap_or(&stem).split('@').next().unwrap_or_default();
    let stem = stem.strip_suffix(".tar").unwrap_or(stem);
    let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(LONGEST_NAME).collect();
    name.parse().map_err(|_| anyhow!("{} gives no name for the model; choose one with --name", data.display()))
}

/// Trains, stores the model, and says what came of it.
pub(super) fn train(spec: &FinetuneSpec, provider: &ProviderArgs, context: &CommandContext) -> Result<()> {
    let mut progress = Progress::new();
    let backends = context.backends_with(provider)?;
    output::line(format_args!("grafts `{}` upon `{}`", spec.name, spec.base_model))?;
    let (engine, kernels) = (&backends.engine, &backends.kernels);
    output::line(format_args!("engine {}: {}", engine.kind, engine.reason))?;
    if engine.providers.first != Provider::Cpu {
        output::line(format_args!("provider {}: {}", engine.providers.first, engine.providers.reason))?;
    }
    if spec.options.strategy != FinetuneStrategy::Head {
        output::line(format_args!("kernels {}: {}", kernels.kernels, kernels.reason))?;
    }
    // The user's own command reads what the user may read.
    let place = RunContext { data: context.data.clone(), access: FileAccess::Everywhere, origin: None };
    let published = finetune::run(&place, spec, &backends, &mut progress);
    progress.finish();
    let published = published?;
    summarize(&published.report)?;
    if let Some(quantization) = &published.report.quantization {
        quantize::print(quantization)?;
    }
    let (name, version) = (&published.name, published.version);
    output::line(format_args!("stored `{name}` version {version}"))?;
    if let Some(deployment) = &published.report.deployment {
        spec.deploy.apply(&context.store()?, &published)?;
        output::line(format_args!("{}", deployment.reason))?;
    }
    output::line(format_args!("try it:  graft classify --model {} PHOTO.jpg", published.name))?;
    Ok(())
}

/// Plans the fine-tune and trains nothing.
fn plan(spec: &FinetuneSpec, format: PlanFormat, context: &CommandContext, backends: &Backends) -> Result<()> {
    let mut progress = Quiet::new();
    let place = RunContext { data: context.data.clone(), access: FileAccess::Everywhere, origin: None };
    let plan = finetune::plan(&place, spec, backends, &mut progress);
    progress.finish();
    let plan = plan?;
    if format == PlanFormat::Json {
        return Ok(output::json(&plan)?);
    }
    findings::print(&plan.dataset)?;
    let options = plan.plan.options.iter();
    let rows: Vec<[String; 3]> =
        options.map(|planned| [planned.option.clone(), planned.value.to_string(), planned.reason.clone()]).collect();
    output::table(["OPTION", "VALUE", "WHY"], &rows)?;
    let row = |phase: &PhaseEstimate| [format!("{:?}", phase.phase).to_lowercase(), format!("{:.1}", phase.seconds)];
    output::table(["PHASE", "SECONDS"], &plan.plan.phases.iter().map(row).collect::<Vec<_>>())?;
    let (seconds, mib) = (plan.plan.seconds, plan.plan.memory_bytes >> 20);
    Ok(output::line(format_args!(
        "about {seconds:.0} s on this machine, and up to {mib} MiB of memory; nothing was trained"
    ))?)
}

/// Prints the result for people; everything is in the report.
fn summarize(report: &FinetuneReport) -> Result<()> {
    let FinetuneReport { validation, test, best_epoch, seconds, images, .. } = report;
    let top1 = 100.0 * validation.rank();
    let choice = match (validation.images, best_epoch) {
        (0, None) => String::new(),
        (0, Some(epoch)) => format!("; no validation images, last epoch {epoch}"),
        (_, None) => format!("; validation {top1:.1} %"),
        (_, Some(epoch)) => format!("; validation {top1:.1} %, best epoch {epoch}"),
    };
    output::line(format_args!("test {}{choice}", summary(test)))?;
    if let Some(folds) = &report.folds {
        output::line(format_args!("{folds}"))?;
    }
    output::line(format_args!(
        "{:.1} s: data {:.1}, features {:.1} ({} of {} images cached), training {:.1}, {}export {:.1}, parity {:.1}",
        seconds.total,
        seconds.data,
        seconds.features,
        images.cached,
        images.train + images.validation + images.test,
        seconds.training,
        seconds.tuning.map_or(String::new(), |tuning| format!("tuning {tuning:.1}, ")),
        seconds.export,
        seconds.parity,
    ))?;
    if test.is_multi_label() {
        return Ok(print_labels(&report.labels, &test.classes, HARDEST)?);
    }
    let mut classes: Vec<_> = test.classes.iter().zip(&report.labels).collect();
    classes.sort_by(|(a, _), (b, _)| a.recall.unwrap_or(1.0).total_cmp(&b.recall.unwrap_or(1.0)));
    let row = |(class, label): &(&ClassResult, &String)| {
        let [precision, recall, f1] = [class.precision, class.recall, class.f1].map(percent);
        [(*label).clone(), precision, recall, f1]
    };
    let rows: Vec<[String; 4]> = classes.iter().take(HARDEST).map(row).collect();
    Ok(output::table(["HARDEST CLASSES", "PRECISION", "RECALL", "F1"], &rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_after_its_images() {
        for (data, name) in [
            ("/photos/Flowers", "flowers"),
            ("Photos of 2024.zip", "photos-of-2024"),
            ("flowers.tar.gz", "flowers"),
            ("oxford17", "oxford17"),
            ("stored:roses@3", "roses"),
        ] {
            assert_eq!(name_of(Path::new(data)).unwrap().as_str(), name, "{data}");
        }
        let error = name_of(Path::new("..../???")).unwrap_err().to_string();
        assert!(error.contains("choose one with --name"), "{error}");
    }
}
