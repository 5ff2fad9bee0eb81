//! `graft finetune`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use server::finetune::{self, FinetuneContext, FinetuneSpec};
use server::store::ModelName;
use trainer::data::FileAccess;
use trainer::finetune::report::FinetuneReport;
use trainer::finetune::{FinetuneOptions, FinetuneStrategy};
use trainer::metrics::ClassResult;

use super::images::DatasetArgs;
use super::measures::{print_labels, summary};
use super::progress::Progress;
use super::{CommandContext, output, percent};

#[derive(Debug, Args)]
pub(super) struct FinetuneArgs {
    /// The stored model to graft upon
    #[arg(long, env = "GRAFT_BASE", value_name = "MODEL")]
    base: ModelName,

    /// The images: a folder with one folder per class, a zip or tar archive of one, a CSV table, Oxford-17 or CIFAR-10;
    /// the name of a published data set, `oxford17` or `cifar10`; or `stored:NAME`, a stored data set, or `stored:NAME@N`, a
    /// snapshot of it
    #[arg(long, env = "GRAFT_DATA", value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    dataset: DatasetArgs,

    /// The name under which the result is stored
    #[arg(long, env = "GRAFT_NAME")]
    name: ModelName,

    #[command(flatten)]
    options: FinetuneOptions,
}

/// How many of the hardest classes are shown.
const HARDEST: usize = 5;

pub(super) fn run(args: &FinetuneArgs, context: &CommandContext) -> Result<()> {
    let mut progress = Progress::new();
    let dataset = args.dataset.locate(&args.data, context, &mut progress)?;
    let dataset = dataset.into();
    let spec =
        FinetuneSpec { base_model: args.base.clone(), dataset, name: args.name.clone(), options: args.options.clone() };
    let backends = context.backends()?;
    let (engine, kernels) = (&backends.engine, &backends.kernels);
    output::line(format_args!("engine {}: {}", engine.kind, engine.reason))?;
    if args.options.strategy != FinetuneStrategy::Head {
        output::line(format_args!("kernels {}: {}", kernels.kernels, kernels.reason))?;
    }
    // The user's own command reads what the user may read.
    let place = FinetuneContext { data: context.data.clone(), access: FileAccess::Everywhere, origin: None };
    let published = finetune::run(&place, &spec, &backends, &mut progress);
    progress.finish();
    let published = published?;
    summarize(&published.report)?;
    output::line(format_args!("stored `{}` version {}", published.name, published.version))?;
    output::line(format_args!("try it:  graft classify --model {} PHOTO.jpg", published.name))?;
    Ok(())
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
        "{:.1} s: data {:.1}, features {:.1} ({} of {} images cached), training {:.1}, export {:.1}, parity {:.1}",
        seconds.total,
        seconds.data,
        seconds.features,
        images.cached,
        images.train + images.validation + images.test,
        seconds.training,
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
