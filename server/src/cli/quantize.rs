//! `graft quantize`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use server::quantize::{self, QuantizeSpec, QuantizedModel};
use server::run_context::RunContext;
use server::store::ModelName;
use trainer::data::FileAccess;
use trainer::quantize::{QuantizationReport, QuantizeOptions, VariantKind, VariantReport};

use super::images::DatasetArgs;
use super::progress::Quiet;
use super::{CommandContext, output, percent};

#[derive(Debug, Args)]
pub(super) struct QuantizeArgs {
    /// The stored model
    #[arg(env = "GRAFT_MODEL", value_name = "NAME")]
    name: ModelName,

    /// Which version [default: the live one]
    #[arg(long, env = "GRAFT_VERSION", value_name = "N")]
    version: Option<u32>,

    /// The images that the model was trained on, or others of its classes, as `graft finetune` takes them: training images
    /// calibrate, test images measure; where nothing says which are which, every other image measures
    #[arg(long, env = "GRAFT_DATA", value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    dataset: DatasetArgs,

    #[command(flatten)]
    options: QuantizeOptions,

    /// How to print the result
    #[arg(long, visible_alias = "output", env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// How many of the layers that lose the most are shown.
const SHOWN: usize = 5;

pub(super) fn run(args: &QuantizeArgs, context: &CommandContext) -> Result<()> {
    let mut progress = Quiet::new();
    let dataset = args.dataset.locate(&args.data, context, &mut progress)?.into();
    let spec = QuantizeSpec { model: args.name.clone(), version: args.version, dataset, options: args.options };
    // The user's own command reads what the user may read.
    let place = RunContext { data: context.data.clone(), access: FileAccess::Everywhere, origin: None };
    let quantized = quantize::run(&place, &spec, &context.backends()?, &mut progress);
    progress.finish();
    let QuantizedModel { name, version, source, quantized } = quantized?;
    let live = context.store()?.replace_live(&name, source, version)?;
    if args.format == Format::Json {
        let result = serde_json::json!({"name": name, "version": version, "live": live, "report": quantized.report});
        return Ok(output::json(&result)?);
    }
    print(&quantized.report)?;
    output::line(format_args!("stored `{name}` version {version}: version {source} with its variants"))?;
    match live {
        true => output::line(format_args!("it takes the place of version {source}"))?,
        false => output::line(format_args!(
            "version {source} is not live; `graft models live {name} {version}` lets the new one answer"
        ))?,
    }
    Ok(())
}

/// Prints the report for people; everything is in the JSON.
pub(super) fn print(report: &QuantizationReport) -> Result<()> {
    let QuantizationReport { calibration, test, quantized_nodes, weight_bits, threads, .. } = report;
    output::line(format_args!(
        "{quantized_nodes} nodes of integers with weights of {weight_bits} bits, calibrated on {} images, measured on {}",
        calibration.images, test.images
    ))?;
    let single = report.variant(VariantKind::F32).map_or(f64::NAN, |variant| variant.milliseconds);
    let row = |variant: &VariantReport| {
        [
            variant.variant.to_string(),
            format!("{:.1} MB", variant.bytes as f64 / 1e6),
            percent(Some(variant.accuracy.accuracy)),
            percent(Some(variant.accuracy.agreement)),
            format!("{:.2} ms", variant.milliseconds),
            format!("{:.1}x", single / variant.milliseconds),
            if variant.stored { "yes" } else { "no: some answers change" }.to_owned(),
        ]
    };
    let rows: Vec<[String; 7]> = report.variants.iter().map(row).collect();
    output::table(["VARIANT", "FILE", "ACCURACY", "AGREEMENT", "ONE IMAGE", "SPEED", "STORED"], &rows)?;
    output::line(format_args!("time of one image alone on this machine with {threads} threads"))?;
    let mut layers: Vec<_> = report.layers.iter().collect();
    layers.sort_by(|a, b| b.error.total_cmp(&a.error));
    let rows = layers
        .iter()
        .take(SHOWN)
        .map(|layer| [layer.layer.clone(), layer.operator.clone(), format!("{:.1} %", 100.0 * layer.error)]);
    Ok(output::table(["LARGEST ERRORS", "OPERATOR", "ERROR"], &rows.collect::<Vec<_>>())?)
}
