//! The same images on every engine.

use std::num::NonZeroUsize;

use anyhow::Result;
use models::preprocess::{ImageBatch, Limits, Preset, test_card};
use models::{ModelSpec, Tensor};
use onnx::parity::relative_difference;
use onnx::signature::PixelScale;
use onnx::{Batching, Engine, EngineKind, ImportedModel, ModelFile, OpaqueOptions, Precision, Signature, engine};
use serde::Serialize;
use server::failure::chain;
use server::runtime::SelectedEngine;
use trainer::backend::CpuExecutor;

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
    /// The largest difference that the precision of the file's numbers explains.
    pub(super) tolerance: f64,
    /// Why it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl EngineReport {
    /// Whether it is as it should be: the serving engine runs the file, and none differs.
    pub(super) fn is_good(&self, serving: EngineKind) -> bool {
        self.agrees() && (self.runs || self.engine != serving)
    }

    /// Whether it does not differ from the reference, as far as the precision allows to say.
    pub(super) fn agrees(&self) -> bool {
        self.difference.is_none_or(|difference| difference <= self.tolerance)
    }
}

/// Runs the file on every engine of this machine. The reference is graft's own executor, or for a file that it cannot take
/// apart, the first engine that runs it.
pub(super) fn compare(
    file: &ModelFile,
    signature: &Signature,
    imported: Option<&ImportedModel>,
    selected: &SelectedEngine,
) -> Result<Vec<EngineReport>> {
    let pixels = pixels(file, signature);
    let bytes = runnable(&file.scored(signature)?, signature, pixels)?;
    let &[channels, height, width] = ModelFile::decode(bytes.clone())?.image_shape()?.dims() else { return Ok(vec![]) };
    // Between conversions, a network for gray images takes RGB, and the executor does not.
    let imported =
        imported.filter(|imported| imported.graph.shape(imported.graph.input()).dims().first() == Some(&channels));
    let images = (0..IMAGES).map(|seed| image(seed, [channels, height, width])).collect::<Result<Vec<_>>>()?;
    let mut reference = match imported {
        Some(ImportedModel { graph, params, .. }) => {
            let executor = match pixels {
                Preset::Bytes => CpuExecutor::new(graph, params)?,
                _ => CpuExecutor::new(&graph.normalized(&pixels.preprocess(1, 1).normalize())?, params)?,
            };
            let answers = images.iter().map(|image| executor.infer_batch(image)).collect::<Result<Vec<_>, _>>()?;
            Some(("graft's executor".to_owned(), answers))
        }
        None => None,
    };
    let mut kinds = engine::available();
    kinds.sort_by_key(|kind| *kind != selected.kind);
    let mut reports = Vec::new();
    for kind in kinds {
        let mut report = EngineReport {
            engine: kind,
            runs: false,
            compared_with: None,
            difference: None,
            tolerance: file.precision().tolerance(),
            reason: None,
        };
        match answers(&bytes, kind, &images, selected.threads) {
            Ok(outputs) => {
                report.runs = true;
                if let Some((name, expected)) = &reference {
                    report.difference = Some(largest(expected, &outputs));
                    report.compared_with = Some(name.clone());
                } else {
                    reference = Some((kind.to_string(), outputs));
                }
            }
            Err(error) => report.reason = Some(chain(error.as_ref())),
        }
        reports.push(report);
    }
    Ok(reports)
}

/// A synthetic photograph where the network takes RGB: whole numbers, which a file that takes bytes leaves as they are.
fn image(seed: u64, shape: [usize; 3]) -> Result<ImageBatch> {
    let [channels, height, width] = shape;
    if channels != 3 {
        return Ok(ImageBatch::noise(1, shape, seed));
    }
    let [height, width] = [u32::try_from(height)?, u32::try_from(width)?];
    let prepared =
        Preset::Bytes.preprocess(height, width).apply(&test_card(seed, width, height), &Limits::default())?;
    Ok(ImageBatch::from(prepared))
}

/// How pixels go in: as they are, 0..255. Half precision would overflow on them where a network is made for small numbers.
fn pixels(file: &ModelFile, signature: &Signature) -> Preset {
    let large = matches!(signature.input.pixels, PixelScale::Bytes | PixelScale::Scaled255);
    if file.precision() == Precision::F32 || large { Preset::Bytes } else { Preset::ZeroOne }
}

/// The file itself, or, where it takes other numbers or its channels last, or has one number for two classes, the file
/// between conversions.
fn runnable(file: &ModelFile, signature: &Signature, pixels: Preset) -> Result<Vec<u8>> {
    let width = signature.output().width.filter(|_| signature.output().kind().is_some());
    if file.takes_planes()? && width != Some(1) && pixels == Preset::Bytes {
        return Ok(file.encode());
    }
    // Of pixels as they are the mean is zero and the deviation one, which changes no number.
    let preprocess = pixels.preprocess(1, 1);
    let spec = ModelSpec::new(file.producer(), None, preprocess);
    let options = OpaqueOptions { spec: &spec, channel_order: Default::default(), batch: Batching::Declared, width };
    Ok(file.wrap_opaque(&options)?)
}

fn answers(file: &[u8], kind: EngineKind, images: &[ImageBatch], threads: NonZeroUsize) -> Result<Vec<Tensor>> {
    let mut engine: Box<dyn Engine> = engine::open(kind, file, threads)?;
    images.iter().map(|image| Ok(engine.run(image)?.first()?.clone())).collect()
}

/// The largest difference of any image.
fn largest(expected: &[Tensor], outputs: &[Tensor]) -> f64 {
    let difference = |(expected, outputs): (&Tensor, &Tensor)| relative_difference(expected.data(), outputs.data());
    expected.iter().zip(outputs).map(difference).fold(0.0, f64::max)
}
