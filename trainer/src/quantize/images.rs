//! Which images calibrate and which measure.

use super::{QuantizationError, QuantizeTask};
use crate::evaluate::images::{LabeledImages, MatchedDataset};
use crate::evaluate::{EvaluateError, EvaluatedSubset};
use crate::events::{Event, Observer};

/// The images of a quantization. No image is in both.
pub(super) struct TaskImages {
    pub(super) calibration: LabeledImages,
    pub(super) test: LabeledImages,
}

impl TaskImages {
    /// Training images calibrate and test images measure. Where nothing says which are which, every other image measures.
    pub(super) fn read(task: &QuantizeTask<'_>, observer: &mut dyn Observer) -> Result<Self, QuantizationError> {
        let model = &task.model;
        let labels = model.spec.labels.as_ref().ok_or_else(|| EvaluateError::Backbone(model.model.to_owned()))?;
        let dataset = MatchedDataset::read(model, labels, observer)?;
        let divided = (dataset.subset(EvaluatedSubset::Train), dataset.subset(EvaluatedSubset::Test));
        let (mut calibration, test) = match divided {
            (Ok(train), Ok(test)) => (train, test),
            (Err(EvaluateError::NoSubset(_)), _) | (_, Err(EvaluateError::NoSubset(_))) => {
                if dataset.trained_on_warning().is_some() {
                    let message = "the model was trained on the images that measure its variants, so their accuracy is too good; \
                                   how far they are apart says something"
                        .to_owned();
                    observer.event(Event::Warning { message });
                }
                (
                    dataset.subset(EvaluatedSubset::All)?.every_other(0),
                    dataset.subset(EvaluatedSubset::All)?.every_other(1),
                )
            }
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        let found = calibration.samples.len() + test.samples.len();
        if calibration.samples.is_empty() || test.samples.is_empty() {
            return Err(QuantizationError::TooFew { found });
        }
        calibration.thin(task.options.calibration_images);
        Ok(Self { calibration, test })
    }
}

impl LabeledImages {
    /// Every second image, beginning with this one.
    fn every_other(mut self, first: usize) -> Self {
        self.samples = self.samples.into_iter().skip(first).step_by(2).collect();
        self
    }

    /// At most so many images, spread over all, which are in the order of their classes.
    fn thin(&mut self, most: usize) {
        let (count, most) = (self.samples.len(), most.max(1));
        if count > most {
            let samples = std::mem::take(&mut self.samples);
            let chosen = |row: &usize| row * most / count != (row + 1) * most / count;
            self.samples =
                samples.into_iter().enumerate().filter(|(row, _)| chosen(row)).map(|(_, sample)| sample).collect();
        }
    }
}
