//! `graft data check`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use trainer::data::{BadFilePolicy, DatasetSummary, Inspection, OpenOptions};
use trainer::finetune::FinetuneOptions;

use crate::cli::images::{DatasetArgs, describe};
use crate::cli::progress::Progress;
use crate::cli::{CommandContext, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The images: a folder, a zip or tar archive of one, or a CSV table; or the name of a published data set, `oxford17` or
    /// `cifar10`
    #[arg(value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    dataset: DatasetArgs,

    /// The largest image that is read, in millions of pixels
    #[arg(long, env = "GRAFT_FINETUNE_MAX_MEGAPIXELS", value_name = "N", default_value_t = FinetuneOptions::default().max_megapixels)]
    max_megapixels: u64,

    /// How to print the result
    #[arg(long, env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Says how the images are understood and what is wrong with them, and trains nothing. Fails if a fine-tune with the same
/// options would.
pub(super) fn run(args: &CheckArgs, context: &CommandContext) -> Result<ExitCode> {
    let source = args.dataset.locate(&args.data, context, &mut Progress::new())?;
    let options = OpenOptions { archives: Some(&context.data.archives_dir()), ..OpenOptions::default() };
    let dataset = source.list_in(&options)?;
    let finetune = FinetuneOptions { max_megapixels: args.max_megapixels, ..FinetuneOptions::default() };
    let mut summary = DatasetSummary::new(&dataset, &dataset.split(finetune.partition(), finetune.seed));
    let Inspection { bad, warnings, .. } = dataset.inspect(BadFilePolicy::Skip, &finetune.limits())?;
    summary.unusable = bad.len();
    summary.warnings.extend(warnings.iter().map(ToString::to_string));
    match args.format {
        Format::Json => output::json(&summary)?,
        Format::Text => {
            for line in describe(&summary) {
                output::line(format_args!("{line}"))?;
            }
        }
    }
    if args.format == Format::Text {
        for file in &bad {
            output::line(format_args!("cannot be used: {}", file.reason))?;
        }
    }
    dataset.check(BadFilePolicy::Skip)?;
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
