//! `graft data check`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use server::config::ProviderArgs;
use server::datasets::DatasetFindings;
use server::finetune::{DatasetCheck, LabelCheck};
use server::store::ModelName;
use trainer::data::{BadFilePolicy, FileAccess, OpenOptions};
use trainer::finetune::FinetuneOptions;
use trainer::metrics::ImageAnswer;

use super::Format;
use crate::cli::findings::{self, SHOWN, rest};
use crate::cli::images::DatasetArgs;
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

    #[command(flatten)]
    provider: ProviderArgs,
}

/// Says how the images are understood and what is wrong with them, and trains nothing. Fails if a fine-tune with the same
/// options would.
pub(super) fn run(args: &CheckArgs, context: &CommandContext) -> Result<ExitCode> {
    let engine = args.base.as_ref().map(|_| context.select_with(&args.provider)).transpose()?;
    let source = args.dataset.locate(&args.data, context, &mut Progress::new())?;
    let options = OpenOptions { archives: Some(&context.data.archives_dir()), ..OpenOptions::default() };
    let dataset = source.list_in(&options)?;
    let finetune = FinetuneOptions { max_megapixels: args.max_megapixels, ..FinetuneOptions::default() };
    let inspection = dataset.inspect(BadFilePolicy::Skip, &finetune.limits())?;
    let findings = DatasetFindings::new(&source, &dataset, &inspection, &finetune);
    let suspects = match args.base.as_ref().zip(engine) {
        None => None,
        Some((base, engine)) => {
            let (data, access) = (&context.data, &FileAccess::Everywhere);
            let check = LabelCheck { data, base, source: &source, access, dataset: &dataset, options: finetune };
            let mut progress = Quiet::new();
            let suspects = check.suspects(&engine, &mut progress);
            progress.finish();
            suspects?
        }
    };
    let report = DatasetCheck { findings, suspects };
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Text => {
            print(&report)?;
            if args.base.is_some() && report.suspects.is_none() {
                output::line(format_args!("labels are not checked: there are too few images"))?;
            }
        }
    }
    dataset.check(BadFilePolicy::Skip)?;
    Ok(if inspection.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &DatasetCheck) -> Result<()> {
    findings::print(&report.findings)?;
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
        None => {}
    }
    Ok(())
}
