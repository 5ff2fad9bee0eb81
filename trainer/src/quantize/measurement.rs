//! Variants of a model against the one in `f32`, on the same images.

use models::preprocess::{ImageBatch, Limits};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{Engine, EngineError};

use super::speed::{median, medians};
use super::{QuantizationError, QuantizeTask, Variant, VariantAccuracy, VariantKind, VariantReport};
use crate::evaluate::images::LabeledImages;
use crate::evaluate::{Answers, EvaluateOptions, EvaluateTask, TestViews, answer};
use crate::events::Observer;
use crate::finetune::golden::Golden;
use crate::metrics::{Evaluation, Truths};

/// The least tolerance of a variant of integers, relative to the largest logit. Other processors round between integer layers in
/// other places.
const LEAST_TOLERANCE: f64 = 1e-2;

/// The model in `f32` on the test images.
pub(super) struct Measurement<'a> {
    task: &'a QuantizeTask<'a>,
    images: &'a LabeledImages,
    /// `[n, classes]`.
    logits: Vec<f32>,
    accuracy: f64,
    classes: usize,
}

impl<'a> Measurement<'a> {
    pub(super) fn of(
        task: &'a QuantizeTask<'a>,
        images: &'a LabeledImages,
        observer: &mut dyn Observer,
    ) -> Result<Self, QuantizationError> {
        let classes = task.model.spec.labels.as_ref().map_or(0, models::Labels::len);
        let mut measurement = Self { task, images, logits: vec![], accuracy: 0.0, classes };
        (measurement.logits, measurement.accuracy) = measurement.answers(task.model.onnx, observer)?;
        Ok(measurement)
    }

    /// The row of the model in `f32`.
    pub(super) fn reference(&self) -> VariantReport {
        let (images, accuracy) = (self.logits.len() / self.classes.max(1), self.accuracy);
        VariantReport {
            variant: VariantKind::F32,
            bytes: self.task.model.onnx.len() as u64,
            accuracy: VariantAccuracy { images, accuracy, reference: accuracy, agreement: 1.0 },
            logit_difference: 0.0,
            milliseconds: f64::NAN,
            stored: true,
        }
    }

    /// Measures a variant of the model. One that only saves space is kept if it loses nothing: no test image may be answered otherwise.
    pub(super) fn compare(
        &self,
        kind: VariantKind,
        onnx: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(VariantReport, Option<Variant>), QuantizationError> {
        let (logits, accuracy) = self.answers(onnx, observer)?;
        let rows = || self.logits.chunks(self.classes).zip(logits.chunks(self.classes));
        let images = rows().count();
        let equal = rows().filter(|(a, b)| self.decision(a) == self.decision(b)).count();
        let agreement = equal as f64 / images.max(1) as f64;
        let differences: Vec<f64> = rows().map(|(a, b)| relative_difference(a, b)).collect();
        let accuracy = VariantAccuracy { images, accuracy, reference: self.accuracy, agreement };
        let stored = kind != VariantKind::Fp16 || equal == images;
        let report = VariantReport {
            variant: kind,
            bytes: onnx.len() as u64,
            accuracy,
            logit_difference: median(&differences),
            milliseconds: f64::NAN,
            stored,
        };
        if !stored {
            return Ok((report, None));
        }
        let (golden, tolerance) = self.golden(kind, &mut *self.open(onnx)?)?;
        Ok((report, Some(Variant { kind, onnx: onnx.to_vec(), golden, tolerance, accuracy })))
    }

    /// Writes into each report how long a run of its file takes.
    pub(super) fn time(&self, files: &[&[u8]], reports: &mut [VariantReport]) -> Result<(), QuantizationError> {
        let mut engines = files.iter().map(|file| self.open(file)).collect::<Result<Vec<_>, _>>()?;
        let size = self.task.model.spec.preprocess.output_size();
        let (height, width) = size.ok_or_else(|| EngineError::Run("the model takes images of any size".to_owned()))?;
        // How long a run takes does not depend on what the image shows.
        let image = ImageBatch::noise(1, [3, height as usize, width as usize], 0);
        for (report, milliseconds) in reports.iter_mut().zip(medians(&mut engines, &image)?) {
            report.milliseconds = milliseconds;
        }
        Ok(())
    }

    /// The logits of the test images and what they are worth.
    fn answers(&self, onnx: &[u8], observer: &mut dyn Observer) -> Result<(Vec<f32>, f64), QuantizationError> {
        let QuantizeTask { model, options, .. } = *self.task;
        let own = EvaluateOptions {
            bad_files: options.bad_files,
            max_megapixels: options.max_megapixels,
            tta: TestViews::None,
            ..model.options
        };
        let task = EvaluateTask { onnx, options: own, ..model };
        let Answers { truths, logits, .. } = answer(&task, &self.images.samples, observer)?;
        let truths = Truths { numbers: &truths, classes: self.classes, sets: self.images.sets.as_ref() };
        let accuracy = Evaluation::of(&logits, truths, model.spec.scores.thresholds.as_deref()).rank();
        Ok((logits, accuracy))
    }

    /// What a client is told: the best class, and those that are present where several may be.
    fn decision(&self, logits: &[f32]) -> Vec<usize> {
        let scores = &self.task.model.spec.scores;
        scores.answered(&scores.kind.scores(logits), 1, None)
    }

    /// The logits of the golden images, and how far those of another machine may be from them. A variant that rounds weights alone
    /// computes as the model in `f32` does. Between integers, another processor may round otherwise in every layer, which makes no
    /// more of a difference than quantizing did; instructions that saturate make more.
    fn golden(&self, kind: VariantKind, engine: &mut dyn Engine) -> Result<(Vec<Vec<f32>>, f64), QuantizationError> {
        let mut rows = Vec::with_capacity(self.task.golden.len());
        let mut tolerance = if kind == VariantKind::Int8 { LEAST_TOLERANCE } else { TOLERANCE };
        for Golden { file_name, bytes, logits, .. } in self.task.golden {
            let input = self.task.model.spec.preprocess.apply(bytes, &Limits::default());
            let input = input.map_err(|error| EngineError::Run(format!("golden image {file_name}: {error}")))?;
            let row = engine.run(&ImageBatch::from(input))?.first()?.data().to_vec();
            let difference = relative_difference(logits, &row);
            if !difference.is_finite() {
                return Err(QuantizationError::NotFinite(file_name.clone(), kind));
            }
            if kind == VariantKind::Int8 {
                tolerance = tolerance.max(difference);
            }
            rows.push(row);
        }
        Ok((rows, tolerance))
    }

    fn open(&self, onnx: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        self.task.model.engine.open(onnx)
    }
}
