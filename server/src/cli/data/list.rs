//! `graft data list`.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use server::datasets::DatasetName;
use server::datasets::stored::{ClassCount, DatasetDetail};

use super::Format;
use crate::cli::stored::LocalStore;
use crate::cli::{CommandContext, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// A stored data set, to see its classes and snapshots [default: all data sets]
    #[arg(value_name = "NAME")]
    name: Option<DatasetName>,

    /// How to print the result
    #[arg(long, visible_alias = "output", env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(args: &ListArgs, context: &CommandContext) -> Result<()> {
    let local = LocalStore::open(context)?;
    if let Some(name) = &args.name {
        return describe(&local.wait(local.datasets.get(name))?, args.format);
    }
    let datasets = local.wait(local.datasets.list())?;
    if args.format == Format::Json {
        return Ok(output::json(&datasets)?);
    }
    if datasets.is_empty() {
        let folder = context.data.datasets_dir();
        output::line(format_args!("no data sets in {} yet; make one with `graft data add`", folder.display()))?;
        return Ok(());
    }
    let snapshots = |latest: Option<u32>| latest.unwrap_or(0).to_string();
    let rows: Vec<[String; 4]> = datasets
        .iter()
        .map(|set| [set.name.clone(), set.images.to_string(), mib(set.bytes), snapshots(set.latest_snapshot)])
        .collect();
    Ok(output::table(["NAME", "IMAGES", "MIB", "SNAPSHOTS"], &rows)?)
}

fn describe(detail: &DatasetDetail, format: Format) -> Result<()> {
    let DatasetDetail { record, classes, snapshots } = detail;
    if format == Format::Json {
        return Ok(output::json(&json!({"dataset": record, "classes": classes, "snapshots": snapshots}))?);
    }
    let (images, size) = (record.images, mib(record.bytes));
    output::line(format_args!("{}: {images} images of {} classes, {size} MiB", record.name, classes.len()))?;
    let rows: Vec<[String; 2]> =
        classes.iter().map(|ClassCount { label, images }| [label.clone(), images.to_string()]).collect();
    output::table(["CLASS", "IMAGES"], &rows)?;
    for snapshot in snapshots {
        let (number, images, classes) = (snapshot.number, snapshot.images, snapshot.classes.len());
        output::line(format_args!("snapshot {number}: {images} images of {classes} classes, {}", snapshot.created_at))?;
    }
    Ok(())
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
