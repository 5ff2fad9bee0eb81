//! The ranges of a network's tensors on images, and what its layers lose.

use models::preprocess::{ImageBatch, PreparedImage};
use onnx::quantize::Ranges;
use onnx::{EngineError, Quantizer};
use rayon::prelude::*;

use super::{LayerReport, QuantizationError, QuantizeTask};
use crate::data::{BadFilePolicy, DatasetError, Sample};
use crate::evaluate::images::LabeledImages;
use crate::events::{Event, Observer, Phase};

/// Images decoded at a time.
const CHUNK: usize = 32;
/// On how many images the layers are compared: each answers all its numbers.
const COMPARED: usize = 8;

/// The ranges that the network's tensors have on these images, as the serving engine computes them.
pub(super) fn ranges(
    task: &QuantizeTask<'_>,
    quantizer: &Quantizer,
    images: &LabeledImages,
    observer: &mut dyn Observer,
) -> Result<Ranges, QuantizationError> {
    let model = &task.model;
    let mut engine = model.engine.open(&quantizer.calibration_file())?;
    let mut ranges = quantizer.ranges();
    let mut done = 0;
    for chunk in images.samples.chunks(CHUNK) {
        if observer.stopped() {
            return Err(QuantizationError::Stopped);
        }
        for input in prepared(task, chunk)? {
            ranges.observe(&engine.run(&alone(&input)?)?);
        }
        done += chunk.len();
        let (done, total) = (done as u64, images.samples.len() as u64);
        observer.event(Event::Progress { phase: Phase::Quantization, done, total });
    }
    Ok(ranges)
}

/// What each quantized layer loses on some of these images.
pub(super) fn layer_errors(
    task: &QuantizeTask<'_>,
    quantizer: &Quantizer,
    ranges: &Ranges,
    images: &LabeledImages,
) -> Result<Vec<LayerReport>, QuantizationError> {
    let model = &task.model;
    let [single, quantized] = quantizer.layer_files(ranges)?;
    let open = |file: &[u8]| model.engine.open(file);
    let (mut single, mut quantized) = (open(&single)?, open(&quantized)?);
    let mut errors = quantizer.layer_errors();
    let step = images.samples.len().div_ceil(COMPARED).max(1);
    let chosen: Vec<(Sample, usize)> = images.samples.iter().step_by(step).cloned().collect();
    for input in prepared(task, &chosen)? {
        let batch = alone(&input)?;
        errors.observe(&single.run(&batch)?, &quantized.run(&batch)?);
    }
    let reports = errors.finish().into_iter();
    Ok(reports.map(|layer| LayerReport { layer: layer.layer, operator: layer.operator, error: layer.error }).collect())
}

/// The images as the network takes them, without those that cannot be read if they are to be left out.
fn prepared(task: &QuantizeTask<'_>, samples: &[(Sample, usize)]) -> Result<Vec<PreparedImage>, QuantizationError> {
    let (limits, preprocess) = (task.options.limits(), &task.model.spec.preprocess);
    let prepare = |(sample, _): &(Sample, usize)| {
        let input = preprocess.apply(&sample.read(&limits)?, &limits);
        input.map_err(|source| DatasetError::image(&sample.path, source))
    };
    let inputs: Vec<Result<PreparedImage, DatasetError>> = samples.par_iter().map(prepare).collect();
    match task.options.bad_files {
        BadFilePolicy::Refuse => Ok(inputs.into_iter().collect::<Result<_, _>>()?),
        _ => Ok(inputs.into_iter().filter_map(Result::ok).collect()),
    }
}

fn alone(input: &PreparedImage) -> Result<ImageBatch, EngineError> {
    ImageBatch::stack(std::slice::from_ref(input)).map_err(|error| EngineError::Run(error.to_string()))
}
