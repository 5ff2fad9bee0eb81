//! `graft evaluate`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use server::config::ProviderArgs;
use trainer::data::FileAccess;
use trainer::evaluate::{self as evaluation, EvaluateOptions, EvaluateTask, EvaluatedSubset, EvaluationReport};
use trainer::metrics::{ClassResult, ConfusedPair, ImageAnswer, confused_pairs};

use super::images::DatasetArgs;
use super::measures::{print_labels, summary};
use super::model::{ModelArg, ModelSource};
use super::progress::Quiet;
use super::{CommandContext, output, percent};

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// The model: the name of a stored one, or a file that graft has exported
    #[arg(long, env = "GRAFT_MODEL", value_name = "NAME|FILE")]
    model: ModelArg,

    /// Which version of a stored model [default: the live one]
    #[arg(long, env = "GRAFT_VERSION", value_name = "N")]
    version: Option<u32>,

    /// The images with their classes: a folder, a zip or tar archive of one, or a CSV table; or the name of a published data
    /// set, `oxford17` or `cifar10`
    #[arg(long, env = "GRAFT_DATA", value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    dataset: DatasetArgs,

    #[command(flatten)]
    options: EvaluateOptions,

    /// How to print the result
    #[arg(long, visible_alias = "output", env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    provider: ProviderArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// How many of the hardest classes, of the most confused pairs and of the worst mistakes are shown.
const SHOWN: usize = 5;

pub(super) fn run(args: &EvaluateArgs, context: &CommandContext) -> Result<()> {
    let mut progress = Quiet::new();
    let ModelSource { name, version, onnx, spec } = args.model.open(args.version, context)?;
    let source = args.dataset.locate(&args.data, context, &mut progress)?;
    let engine = context.select_with(&args.provider)?;
    let task = EvaluateTask {
        model: &name,
        version,
        onnx: &onnx,
        spec: &spec,
        source: &source,
        // The user's own command reads what the user may read.
        access: &FileAccess::Everywhere,
        archives: &context.data.archives_dir(),
        options: args.options,
        engine: engine.spec(),
    };
    let report = evaluation::evaluate(&task, &mut progress);
    progress.finish();
    let report = report?;
    match args.format {
        Format::Json => Ok(output::json(&report)?),
        Format::Text => print(&report),
    }
}

fn print(report: &EvaluationReport) -> Result<()> {
    let EvaluationReport { result, images, .. } = report;
    let which = match report.subset {
        EvaluatedSubset::Auto | EvaluatedSubset::All => "all images",
        EvaluatedSubset::Train => "training images",
        EvaluatedSubset::Validation => "validation images",
        EvaluatedSubset::Test => "test images",
    };
    let version = report.version.map_or(String::new(), |version| format!(" version {version}"));
    output::line(format_args!("{}{version} on {which}", report.model))?;
    output::line(format_args!("{}", summary(result)))?;
    let ece = result.reliability.as_ref().map(|reliability| reliability.ece);
    output::line(format_args!(
        "macro F1 {}, cross-entropy {:.3}, calibration error {}",
        percent(result.macro_f1),
        result.loss,
        percent(ece)
    ))?;
    if images.unknown_class + images.unusable > 0 {
        output::line(format_args!(
            "left out: {} images of classes that the model does not know, {} that cannot be used",
            images.unknown_class, images.unusable
        ))?;
    }
    if !report.absent_classes.is_empty() {
        let named = report.absent_classes.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let more = report.absent_classes.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        output::line(format_args!("no image of {named}{more}"))?;
    }
    print_classes(report)?;
    print_mistakes(report)
}

fn print_classes(report: &EvaluationReport) -> Result<()> {
    if report.result.is_multi_label() {
        return Ok(print_labels(&report.labels, &report.result.classes, SHOWN)?);
    }
    let classes = report.result.classes.iter().zip(&report.labels);
    let mut classes: Vec<_> = classes.filter(|(class, _)| class.support > 0).collect();
    classes.sort_by(|(a, _), (b, _)| a.f1.unwrap_or(0.0).total_cmp(&b.f1.unwrap_or(0.0)));
    let row = |(class, label): &(&ClassResult, &String)| {
        let [precision, recall, f1] = [class.precision, class.recall, class.f1].map(percent);
        [(*label).clone(), class.support.to_string(), precision, recall, f1]
    };
    let rows: Vec<[String; 5]> = classes.iter().take(SHOWN).map(row).collect();
    Ok(output::table(["HARDEST CLASSES", "IMAGES", "PRECISION", "RECALL", "F1"], &rows)?)
}

fn print_mistakes(report: &EvaluationReport) -> Result<()> {
    let label = |class: usize| report.labels[class].clone();
    let pairs = confused_pairs(&report.result.confusion);
    if report.answers.mistakes.is_empty() {
        return Ok(());
    }
    let row = |pair: &ConfusedPair| [label(pair.truth), label(pair.predicted), pair.images.to_string()];
    let rows: Vec<[String; 3]> = pairs.iter().take(SHOWN).map(row).collect();
    if !rows.is_empty() {
        output::table(["CLASS", "TAKEN FOR", "IMAGES"], &rows)?;
    }
    let row = |answer: &ImageAnswer| {
        [answer.image.clone(), answer.truth.clone(), answer.predicted.clone(), percent(Some(answer.score))]
    };
    let rows: Vec<[String; 4]> = report.answers.mistakes.iter().take(SHOWN).map(row).collect();
    Ok(output::table(["WORST MISTAKES", "CLASS", "TAKEN FOR", "SCORE"], &rows)?)
}
