//! `graft check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use models::preprocess::Batch;
use models::scores::softmax;
use models::{Graph, Tensor};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{Engine, EngineKind, Imported, engine};
use trainer::exec::Executor;

use super::{Workplace, output};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The ONNX files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Images that are compared, one by one: a file may be made for batches of one.
const IMAGES: u64 = 2;

/// Fails when any file does not import, run or agree.
pub(super) fn run(args: &CheckArgs, place: &Workplace) -> Result<ExitCode> {
    let selected = place.select()?;
    output::line(format_args!("serving engine: {} ({})", selected.kind, selected.reason))?;
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        if let Err(error) = check(path, place) {
            output::line(format_args!("  FAILED  {}", output::sentence(&error)))?;
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn check(path: &Path, place: &Workplace) -> Result<()> {
    output::line(format_args!("{}", path.display()))?;
    let bytes = std::fs::read(path).context("cannot be read")?;
    let Imported { graph, params, spec, producer } = onnx::import(bytes.clone())?;
    describe(&graph, &producer, bytes.len())?;
    if let Some(labels) = spec.and_then(|spec| spec.labels) {
        output::line(format_args!("  labels      {}: {}, …", labels.len(), labels.get(0).unwrap_or_default()))?;
    }
    let (channels, height, width) = graph.shape(graph.input()).chw()?;
    let images: Vec<Batch> = (0..IMAGES).map(|seed| Batch::noise(1, [channels, height, width], seed)).collect();
    let executor = Executor::new(&graph, &params)?;
    let references = images.iter().map(|image| executor.forward_batch(image)).collect::<Result<Vec<_>, _>>()?;
    let mut failed = Vec::new();
    for kind in engine::available() {
        match compare(&bytes, kind, (&images, &references), place) {
            Ok(difference) if difference <= TOLERANCE => output::line(format_args!(
                "  {kind:10}  ok, within {difference:.1e} of graft's executor (relative to the largest logit)"
            ))?,
            Ok(difference) => {
                failed.push(kind);
                output::line(format_args!("  {kind:10}  differs from graft's executor by {difference:.1e}"))?;
            }
            Err(error) => {
                failed.push(kind);
                output::line(format_args!("  {kind:10}  {}", output::sentence(&error)))?;
            }
        }
    }
    match &failed[..] {
        [] => Ok(()),
        kinds => bail!("on {}", kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")),
    }
}

fn describe(graph: &Graph, producer: &str, bytes: usize) -> Result<()> {
    let counts = graph.counts();
    let (input, output_shape) = (graph.shape(graph.input()), graph.shape(graph.output()));
    let head = if graph.classifier().is_some() { "classifier" } else { "headless backbone" };
    output::line(format_args!("  written by  {producer}, {:.1} MB", bytes as f64 / 1e6))?;
    output::line(format_args!(
        "  network     {head} {input} -> {output_shape}, {} nodes, {} parameters, {:.2} GMAC an image",
        graph.nodes().len(),
        counts.parameters,
        counts.macs as f64 / 1e9,
    ))?;
    Ok(())
}

/// The largest difference of any image.
fn compare(
    file: &[u8],
    kind: EngineKind,
    (images, references): (&[Batch], &[Tensor]),
    place: &Workplace,
) -> Result<f64> {
    let mut engine = engine::open(kind, file, place.engine.threads())?;
    let mut largest = 0.0_f64;
    for (image, reference) in images.iter().zip(references) {
        largest = largest.max(served_difference(engine.as_mut(), image, reference.data())?);
    }
    Ok(largest)
}

/// Between the reference and what the engine makes of it: the output with the reference's logits, or, for a file that
/// ends in a softmax, the reference's softmax.
fn served_difference(engine: &mut dyn Engine, image: &Batch, reference: &[f32]) -> Result<f64> {
    let outputs = engine.run(image)?;
    let served = outputs.first()?.data();
    let logits = relative_difference(reference, served);
    Ok(logits.min(relative_difference(&softmax(reference, 1.0), served)))
}
