//! `graft data check`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use server::store::{ModelName, ModelStore};
use trainer::backend::ComputeBackend;
use trainer::data::{
    BadFilePolicy, CopyGroup, CopyKind, Dataset, DatasetSource, DatasetSummary, Diagnosis, FileAccess, Inspection,
    OpenOptions,
};
use trainer::finetune::{self, Base, FinetuneOptions, Task};
use trainer::metrics::ImageAnswer;

use super::Format;
use crate::cli::images::{DatasetArgs, describe};
use crate::cli::progress::{Progress, Quiet};
use crate::cli::{CommandContext, output, percent};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The images: a folder, a zip or tar archive of one, or a CSV table; the name of a published data set, `oxford17` or
    /// `cifar10`; or `stored:NAME`
    #[arg(value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    dataset: DatasetArgs,

    /// A stored model whose features tell which labels may be wrong: each image is classified by heads that are trained
    /// without it. Features are cached, so that a fine-tune does not compute them again
    #[arg(long, env = "GRAFT_BASE", value_name = "MODEL")]
    base: Option<ModelName>,

    /// The largest image that is read, in millions of pixels
    #[arg(long, env = "GRAFT_FINETUNE_MAX_MEGAPIXELS", value_name = "N", default_value_t = FinetuneOptions::default().max_megapixels)]
    max_megapixels: u64,

    /// How to print the result
    #[arg(long, visible_alias = "output", env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How many findings of a kind are shown.
const SHOWN: usize = 20;

/// Everything that is found.
#[derive(Serialize)]
struct CheckReport {
    #[serde(flatten)]
    summary: DatasetSummary,
    bad_files: Vec<BadImage>,
    #[serde(flatten)]
    diagnosis: Diagnosis,
    /// Labels that may be wrong, the most doubtful first; missing where nobody asked or there are too few images.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspects: Option<Vec<ImageAnswer>>,
}

/// A file that cannot be used.
#[derive(Serialize)]
struct BadImage {
    image: String,
    reason: String,
}

/// Says how the images are understood and what is wrong with them, and trains nothing. Fails if a fine-tune with the same
/// options would.
pub(super) fn run(args: &CheckArgs, context: &CommandContext) -> Result<ExitCode> {
    let source = args.dataset.locate(&args.data, context, &mut Progress::new())?;
    let options = OpenOptions { archives: Some(&context.data.archives_dir()), ..OpenOptions::default() };
    let dataset = source.list_in(&options)?;
    let finetune = FinetuneOptions { max_megapixels: args.max_megapixels, ..FinetuneOptions::default() };
    let mut summary = DatasetSummary::new(&dataset, &finetune.split(&dataset, &dataset.samples));
    let inspection = dataset.inspect(BadFilePolicy::Skip, &finetune.limits())?;
    let Inspection { bad, warnings, .. } = &inspection;
    summary.unusable = bad.len();
    summary.warnings.extend(warnings.iter().map(ToString::to_string));
    let below = |path: &std::path::Path| path.strip_prefix(source.path()).unwrap_or(path).display().to_string();
    let report = CheckReport {
        summary,
        bad_files: bad.iter().map(|file| BadImage { image: below(&file.path), reason: file.reason.clone() }).collect(),
        diagnosis: Diagnosis::new(&dataset, &inspection, |sample| sample.name_below(source.path())),
        suspects: match &args.base {
            Some(base) => {
                suspects(&LabelCheck { base, source: &source, dataset: &dataset, options: finetune }, context)?
            }
            None => None,
        },
    };
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Text => print(&report, args.base.is_some())?,
    }
    dataset.check(BadFilePolicy::Skip)?;
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whose labels are to be checked, and by which features.
struct LabelCheck<'a> {
    base: &'a ModelName,
    source: &'a DatasetSource,
    dataset: &'a Dataset,
    options: FinetuneOptions,
}

/// The images whose labels may be wrong; `None` where there are too few to tell.
fn suspects(check: &LabelCheck<'_>, context: &CommandContext) -> Result<Option<Vec<ImageAnswer>>> {
    let store = ModelStore::open(&context.data.models_dir())?;
    let content = store.content(check.base, store.resolve(check.base, None)?)?;
    // What cannot be trained on is said at the end.
    if check.dataset.check(BadFilePolicy::Skip).is_err() {
        return Ok(None);
    }
    let engine = context.select()?;
    let base = Base::new(content, engine.kind, engine.threads)?;
    let task = Task {
        base_name: check.base.as_str(),
        base: &base,
        source: check.source,
        access: &FileAccess::Everywhere,
        options: FinetuneOptions { bad_files: BadFilePolicy::Skip, ..check.options.clone() },
        folders: &context.data.training_folders(),
        engine: engine.kind,
        threads: engine.threads,
        backend: &ComputeBackend::Rust,
    };
    let mut progress = Quiet::new();
    let suspects = finetune::suspects(&task, &mut progress);
    progress.finish();
    Ok(suspects?)
}

fn print(report: &CheckReport, labels_are_checked: bool) -> Result<()> {
    for line in describe(&report.summary) {
        output::line(format_args!("{line}"))?;
    }
    for file in &report.bad_files {
        output::line(format_args!("cannot be used: {}", file.reason))?;
    }
    for image in report.diagnosis.tiny.iter().take(SHOWN) {
        output::line(format_args!("tiny: {} has {}x{} pixels", image.image, image.width, image.height))?;
    }
    rest("tiny images", report.diagnosis.tiny.len())?;
    for group in report.diagnosis.copies.iter().take(SHOWN) {
        output::line(format_args!("{}", copies(group)))?;
    }
    rest("groups of copies", report.diagnosis.copies.len())?;
    if let Some(imbalance) = &report.diagnosis.imbalance {
        output::line(format_args!(
            "imbalance: `{}` has {} images and `{}` has {}; add images of the smaller classes, or the model will prefer the \
             larger ones",
            imbalance.largest, imbalance.largest_images, imbalance.smallest, imbalance.smallest_images
        ))?;
    }
    match &report.suspects {
        Some(suspects) if suspects.is_empty() => output::line(format_args!("no label looks wrong"))?,
        Some(suspects) => {
            let row = |suspect: &ImageAnswer| {
                let [own, other] = [suspect.truth_score, suspect.score].map(|score| percent(Some(score)));
                [suspect.image.clone(), suspect.truth.clone(), own, suspect.predicted.clone(), other]
            };
            let rows: Vec<[String; 5]> = suspects.iter().take(SHOWN).map(row).collect();
            output::table(["LABELS TO CHECK", "LABEL", "SCORE", "RATHER", "SCORE"], &rows)?;
            rest("labels to check", suspects.len())?;
        }
        None if labels_are_checked => output::line(format_args!("labels are not checked: there are too few images"))?,
        None => {}
    }
    Ok(())
}

/// How many findings are not shown.
fn rest(what: &str, count: usize) -> Result<()> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => Ok(output::line(format_args!("and {more} more {what}; `--format json` has all"))?),
    }
}

fn copies(group: &CopyGroup) -> String {
    let alike = match group.kind {
        CopyKind::Exact => "the same image",
        CopyKind::Similar => "looks the same",
    };
    let mut where_found = Vec::new();
    if group.across_classes {
        where_found.push("in several classes");
    }
    if group.across_subsets {
        where_found.push("in several subsets");
    }
    let where_found = if where_found.is_empty() { String::new() } else { format!(", {}", where_found.join(" and ")) };
    let images = group.images.iter().map(|copy| match &copy.subset {
        Some(subset) => format!("{} ({}, {subset})", copy.image, copy.class),
        None => format!("{} ({})", copy.image, copy.class),
    });
    format!("copies: {alike}{where_found}: {}", images.collect::<Vec<_>>().join(", "))
}
