//! `graft check`: what is in a file, and what the engines make of it.

mod engines;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use models::weights::StateDict;
use models::{Graph, Network, zoo};
use onnx::{ImportedModel, ModelFile, SignatureOptions};
use server::failure::chain;
use server::runtime::SelectedEngine;

use super::CommandContext;
use super::import::source::Source;
use super::import::{FileFacts, NetworkDraft, Preparation, weights as fitting};
use super::output::{self, OutputArgs};
use report::{Contents, FileReport};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// ONNX files, or files of weights
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Fails when a file cannot be read, the serving engine does not run it, or engines that run it disagree.
pub(super) fn run(args: &CheckArgs, context: &CommandContext) -> Result<ExitCode> {
    let selected = context.select()?;
    if !args.output.is_json() {
        output::line(format_args!("serving engine: {} ({})", selected.kind, selected.reason))?;
    }
    let reports: Vec<FileReport> = args.files.iter().map(|path| check(path, &selected)).collect();
    if args.output.is_json() {
        output::json(&reports)?;
    } else {
        reports.iter().try_for_each(FileReport::print)?;
    }
    let good = reports.iter().all(|report| report.ok);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(path: &Path, selected: &SelectedEngine) -> FileReport {
    let mut report =
        FileReport { megabytes: megabytes(path), file: path.display().to_string(), ..FileReport::default() };
    let filled = match Source::open(path) {
        Ok(Source::Onnx(file)) => onnx_file(&file, &mut report, selected),
        Ok(Source::Network(network)) => stored(*network, &mut report),
        Ok(Source::Weights(file)) => weights(&file.state, &mut report),
        Err(error) => Err(error),
    };
    if let Err(error) = filled {
        report.problems.push(chain(error.as_ref()));
    } else {
        report.ok = report.engines.iter().all(|engine| engine.is_good(selected.kind));
    }
    report
}

fn megabytes(path: &Path) -> f64 {
    path.metadata().map_or(0.0, |metadata| metadata.len() as f64 / 1e6)
}

fn onnx_file(file: &ModelFile, report: &mut FileReport, selected: &SelectedEngine) -> Result<()> {
    report.contents = Contents::Onnx;
    // With the weights that lie in a second file.
    report.megabytes = file.size() as f64 / 1e6;
    report.producer = file.producer();
    (report.opset, report.ir_version) = (Some(file.opset()), Some(file.ir_version()));
    report.fixed_batch = file.fixed_batch()?;
    let facts = FileFacts::of(file, &SignatureOptions::default()).inspect_err(|_| {
        report.signature = file.outputs().iter().flatten().map(ToString::to_string).collect();
    })?;
    report.signature = facts.lines();
    report.labels = facts.labels.as_ref().map(|named| named.labels.names().to_vec());
    report.quantized = file.is_quantized();
    let imported = file.import_as(&facts.signature, None);
    match &imported {
        Ok(ImportedModel { graph, spec, scores, .. }) => {
            report.headless = scores.is_none();
            describe(graph, report);
            if let Some(spec) = spec {
                report.labels = spec.labels.as_ref().map(|labels| labels.names().to_vec());
            }
        }
        Err(error) => {
            let operators: Vec<String> =
                file.operators().into_iter().map(|(name, count)| format!("{count} {name}")).collect();
            report.operators = Some(operators.join(", "));
            let kind = if report.quantized { "a quantised network" } else { "a network that graft cannot parse" };
            report.network = Some(format!("{kind}, of images {}", file.image_shape()?));
            report.problems.push(format!(
                "{}; `graft import` keeps it as it is: where an engine runs it, it can be served and given a new head, but \
                 its layers cannot be trained",
                error
            ));
        }
    }
    report.engines = engines::compare(file, &facts.signature, imported.as_ref().ok(), selected)?;
    let &[_, height, width] = file.image_shape()?.dims() else { bail!("the network takes no images") };
    report.preprocess = prepared(imported.ok(), &facts, [u32::try_from(height)?, u32::try_from(width)?])?;
    report.advise();
    Ok(())
}

/// How images are prepared, if the file says so.
fn prepared(imported: Option<ImportedModel>, facts: &FileFacts, size: [u32; 2]) -> Result<Option<String>> {
    match (imported, &facts.known) {
        (_, Some(known)) if known.is_unclear() => Ok(None),
        (Some(imported), known) if imported.spec.is_some() || known.is_some() => {
            Ok(Some(NetworkDraft::of_onnx(imported, facts)?.known_preparation()?.to_string()))
        }
        (None, Some(known)) => Ok(Some(Preparation::of_source(known, size)?.to_string())),
        _ => Ok(None),
    }
}

fn describe(graph: &Graph, report: &mut FileReport) {
    let counts = graph.counts();
    let (input, output_shape) = (graph.shape(graph.input()), graph.shape(graph.output()));
    let names: Vec<&str> = zoo::recognize(graph).iter().map(|row| row.name()).collect();
    report.architecture = (!names.is_empty()).then(|| names.join(" or "));
    let head = if report.headless { "headless backbone" } else { "classifier" };
    report.network = Some(format!(
        "{head} {input} -> {output_shape}, {} nodes, {} parameters, {:.2} GMAC an image",
        graph.nodes().len(),
        counts.parameters,
        counts.macs as f64 / 1e9,
    ));
}

/// The weights of a stored model, with graph and spec.
fn stored(network: Network, report: &mut FileReport) -> Result<()> {
    report.contents = Contents::Weights;
    report.producer = "safetensors, with a network of graft's".to_owned();
    report.headless = network.spec.labels.is_none();
    describe(&network.graph, report);
    report.labels = network.spec.labels.as_ref().map(|labels| labels.names().to_vec());
    report.preprocess = Some(NetworkDraft::of_network(network).known_preparation()?.to_string());
    Ok(())
}

fn weights(state: &StateDict, report: &mut FileReport) -> Result<()> {
    report.contents = Contents::Weights;
    report.producer = state.format.to_string();
    let fits = fitting::fits(state);
    let names: Vec<&str> = fits.iter().map(|row| row.name()).collect();
    report.network = Some(format!("weights alone: {} tensors", state.tensors.len()));
    match names[..] {
        [] => bail!("{}", fitting::misfit(state)),
        [_] => report.architecture = Some(names.join("")),
        _ => {
            report.architecture = Some(names.join(" or "));
            report
                .problems
                .push("its tensors fit several networks; name the right one with `graft import --arch`".into());
        }
    }
    Ok(())
}
