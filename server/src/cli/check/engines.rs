//! The same images on every engine.

use anyhow::Result;
use models::preprocess::{ImageBatch, Preset};
use models::scores::softmax;
use models::{ModelSpec, Tensor};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{Batching, Engine, EngineKind, ImportedModel, ModelFile, OpaqueOptions, engine};
use serde::Serialize;
use server::failure::chain;
use server::runtime::SelectedEngine;
use trainer::backend::CpuExecutor;

use crate::cli::CommandContext;

/// Images that are compared, one by one: a file may be made for batches of one.
const IMAGES: u64 = 2;

/// What an engine makes of a file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct EngineReport {
    pub(super) engine: EngineKind,
    /// Whether it runs the file.
    pub(super) runs: bool,
    /// What its answers are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compared_with: Option<String>,
    /// The largest difference from that, relative to the largest logit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<f64>,
    /// Why it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl EngineReport {
    /// Whether it is as it should be: the serving engine runs the file, and none differs.
    pub(super) fn is_good(&self, serving: EngineKind) -> bool {
        let agrees = self.difference.is_none_or(|difference| difference <= TOLERANCE);
        agrees && (self.runs || self.engine != serving)
    }
}

/// Runs the file on every engine of this machine. The reference is graft's own executor, or for a file that it cannot take
/// apart, the first engine that runs it.
pub(super) fn compare(
    file: &ModelFile,
    imported: Option<&ImportedModel>,
    selected: &SelectedEngine,
    context: &CommandContext,
) -> Result<Vec<EngineReport>> {
    let &[channels, height, width] = file.image_shape()?.dims() else { return Ok(vec![]) };
    let images: Vec<ImageBatch> =
        (0..IMAGES).map(|seed| ImageBatch::noise(1, [channels, height, width], seed)).collect();
    let mut reference = match imported {
        Some(ImportedModel { graph, params, .. }) => {
            let executor = CpuExecutor::new(graph, params)?;
            let answers = images.iter().map(|image| executor.infer_batch(image)).collect::<Result<Vec<_>, _>>()?;
            Some(("graft's executor".to_owned(), answers))
        }
        None => None,
    };
    let bytes = runnable(file)?;
    let mut kinds = engine::available();
    kinds.sort_by_key(|kind| *kind != selected.kind);
    let mut reports = Vec::new();
    for kind in kinds {
        let mut report =
            EngineReport { engine: kind, runs: false, compared_with: None, difference: None, reason: None };
        match answers(&bytes, kind, &images, context) {
            Ok(found) => {
                report.runs = true;
                if let Some((name, expected)) = &reference {
                    report.difference = Some(largest(expected, &found));
                    report.compared_with = Some(name.clone());
                } else {
                    reference = Some((kind.to_string(), found));
                }
            }
            Err(error) => report.reason = Some(chain(error.as_ref())),
        }
        reports.push(report);
    }
    Ok(reports)
}

/// The file itself, or, where it takes other numbers or its channels last, the file behind a conversion.
fn runnable(file: &ModelFile) -> Result<Vec<u8>> {
    if file.takes_planes()? {
        return Ok(file.encode());
    }
    // Pixels as they are: a normalisation by zero and one, which changes no number.
    let preprocess = Preset::Bytes.preprocess(1, 1);
    let spec = ModelSpec { architecture: file.producer(), labels: None, preprocess, training: None };
    let options = OpaqueOptions { spec: &spec, channel_order: Default::default(), batch: Batching::Declared };
    Ok(file.wrap_opaque(&options)?)
}

fn answers(file: &[u8], kind: EngineKind, images: &[ImageBatch], context: &CommandContext) -> Result<Vec<Tensor>> {
    let mut engine: Box<dyn Engine> = engine::open(kind, file, context.engine.threads)?;
    images.iter().map(|image| Ok(engine.run(image)?.first()?.clone())).collect()
}

/// The largest difference of any image: of the logits, or, for a file that ends in a softmax, of that.
fn largest(expected: &[Tensor], found: &[Tensor]) -> f64 {
    let difference = |(expected, found): (&Tensor, &Tensor)| {
        let logits = relative_difference(expected.data(), found.data());
        logits.min(relative_difference(&softmax(expected.data(), 1.0), found.data()))
    };
    expected.iter().zip(found).map(difference).fold(0.0, f64::max)
}
