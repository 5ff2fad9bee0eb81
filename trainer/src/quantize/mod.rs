//! A finished model in fewer bits: calibrated on training images, measured on test images.

mod calibration;
mod error;
mod images;
mod measurement;
mod options;
mod pass;
mod report;
mod speed;
mod variant;

use std::time::Instant;

use models::Network;
use onnx::quantize::WeightRange;
use onnx::{EngineKind, ExportOptions, Quantizer, export};

pub use error::QuantizationError;
pub use options::{ModelPrecision, QuantizeOptions};
pub use report::{LayerReport, QuantizationReport, QuantizedImages, VariantReport};
pub use variant::{Variant, VariantAccuracy, VariantKind};

use crate::evaluate::EvaluateTask;
use crate::events::{Event, Observer, Phase};
use crate::finetune::golden::Golden;
use images::TaskImages;
use measurement::Measurement;
use pass::PassObserver;

/// What is to be quantized, and on which images.
#[derive(Debug, Clone, Copy)]
pub struct QuantizeTask<'a> {
    /// The model in `f32`, its images and its engine. Which images calibrate and which measure follows from the data set and
    /// from the model's training, so that `subset` and `tta` are not looked at.
    pub model: EvaluateTask<'a>,
    /// The network, where graft can parse it: its weights are also written as `f16`.
    pub network: Option<&'a Network>,
    /// Images whose logits each variant must reproduce when it is loaded.
    pub golden: &'a [Golden],
    /// The user's choices.
    pub options: QuantizeOptions,
}

/// A model's other variants, and what they cost.
#[derive(Debug, Clone)]
pub struct Quantized {
    /// Those that are worth storing.
    pub variants: Vec<Variant>,
    /// What was measured.
    pub report: QuantizationReport,
}

/// Writes a model with 8-bit integers, and with weights of half precision, and measures what that costs on images that the model
/// has not seen.
///
/// # Errors
/// [`QuantizationError`] for another engine than ONNX Runtime, a model that cannot be quantized, images that are no data set of
/// the model, and an observer that stops the run.
pub fn quantize(task: &QuantizeTask<'_>, observer: &mut dyn Observer) -> Result<Quantized, QuantizationError> {
    let start = Instant::now();
    task.options.validate()?;
    let QuantizeTask { model, network, .. } = *task;
    if model.engine.kind != EngineKind::Ort {
        return Err(QuantizationError::NoRuntime(model.engine.kind));
    }
    let quantizer = Quantizer::new(model.onnx)?.with_weights(WeightRange::of_this_processor());
    observer.event(Event::Phase { phase: Phase::Data });
    let images = TaskImages::read(task, observer)?;
    observer.event(Event::Phase { phase: Phase::Quantization });
    let ranges = calibration::ranges(task, &quantizer, &images.calibration, observer)?;
    let layers = calibration::layer_errors(task, &quantizer, &ranges, &images.calibration)?;
    let mut candidates = Vec::new();
    if let Some(network) = network {
        let halves = ExportOptions { weights: onnx::export::WeightPrecision::Half, ..ExportOptions::default() };
        candidates.push((VariantKind::Fp16, export(network, &halves)?));
    }
    candidates.push((VariantKind::Int8, quantizer.quantize(&ranges)?));
    observer.event(Event::Phase { phase: Phase::Evaluation });
    let passes = 1 + candidates.len();
    let measurement = Measurement::of(task, &images.test, &mut PassObserver { inner: observer, pass: 0, passes })?;
    let mut reports = vec![measurement.reference()];
    let mut variants = Vec::new();
    for (pass, (kind, onnx)) in (1..).zip(&candidates) {
        let (report, variant) =
            measurement.compare(*kind, onnx, &mut PassObserver { inner: observer, pass, passes })?;
        variants.extend(variant);
        reports.push(report);
    }
    let files: Vec<&[u8]> =
        std::iter::once(model.onnx).chain(candidates.iter().map(|(_, onnx)| onnx.as_slice())).collect();
    measurement.time(&files, &mut reports)?;
    Ok(Quantized {
        variants,
        report: QuantizationReport {
            model: model.model.to_owned(),
            version: model.version,
            calibration: QuantizedImages::of(&images.calibration),
            test: QuantizedImages::of(&images.test),
            quantized_nodes: quantizer.quantized_nodes(),
            weight_bits: quantizer.weights().bits(),
            variants: reports,
            layers,
            threads: model.engine.threads.get(),
            seconds: start.elapsed().as_secs_f64(),
        },
    })
}
