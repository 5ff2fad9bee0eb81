//! The report of a fine-tuning run: `report.json` beside the model, and the body of HTTP responses.

use onnx::{EngineKind, Provider};
use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::certainty::Certainty;
use super::deployment::Deployment;
use super::fold_results::FoldResults;
use super::options::FinetuneOptions;
use super::probe::HeadChoice;
pub use super::stage::PhaseSeconds;
use super::strategy::FinetuneStrategy;
use crate::data::DatasetSummary;
use crate::events::Event;
use crate::metrics::{Evaluation, ImageAnswer, NotableAnswers, null_is_nan};
use crate::quantize::QuantizationReport;

/// What a run did and measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinetuneReport {
    /// The base model's name.
    pub base: String,
    /// The class names.
    pub labels: Vec<String>,
    /// How the data set was understood; missing from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub dataset: Option<DatasetSummary>,
    /// How many images were in each subset.
    pub images: ImageCounts,
    /// The options in force.
    pub options: FinetuneOptions,
    /// The engine that computed the features.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "ort"))]
    pub engine: EngineKind,
    /// What computed inside ONNX Runtime: `cpu`, its own kernels, or a provider that was asked for; missing for another engine,
    /// and from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false, example = "cpu"))]
    pub provider: Option<Provider>,
    /// The compute backend, such as `rust f32`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, example = "rust f32"))]
    pub kernels: String,
    /// Wall-clock seconds of each phase.
    pub seconds: PhaseSeconds,
    /// What was trained; never `auto`.
    pub strategy: FinetuneStrategy,
    /// How the head was chosen that training began with; missing where nothing was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub head: Option<HeadChoice>,
    /// The epoch whose weights the model has, counted from one; missing where there were no epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub best_epoch: Option<usize>,
    /// An [`Event::Epoch`] for each epoch.
    pub epochs: Vec<Event>,
    /// The result on the validation images, which chose the epoch.
    pub validation: Evaluation,
    /// The result on the test images, which chose nothing.
    pub test: Evaluation,
    /// The results of the folds, where images were divided into some: `test` has all their images then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub folds: Option<FoldResults>,
    /// How scores were calibrated; missing where they were not, and from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub calibration: Option<Calibration>,
    /// When its answers are uncertain, and how right the others are; missing where classes stand beside each other, where scores were
    /// not calibrated, and from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub certainty: Option<Certainty>,
    /// The worst mistakes and the most uncertain answers among the test images; empty in reports of versions before 0.3.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub answers: NotableAnswers,
    /// Training images that heads trained without them take for another class, the most doubtful first: labels to check.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub suspects: Vec<ImageAnswer>,
    /// The exported file against the trainer's logits.
    pub parity: Vec<Parity>,
    /// Whether the version was to take the place of the one before it, and why; missing from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub deployment: Option<Deployment>,
    /// What the model's other variants cost and gain; missing where none were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub quantization: Option<QuantizationReport>,
}

/// How many images the data set gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageCounts {
    /// Trained on.
    pub train: usize,
    /// Chose the epoch.
    pub validation: usize,
    /// Measured the result.
    pub test: usize,
    /// Could not be read, and were left out.
    pub skipped: usize,
    /// Had their features in the cache from an earlier run.
    pub cached: usize,
}

/// The exported file on one engine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parity {
    /// The engine that ran the file.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "ort"))]
    pub engine: EngineKind,
    /// How many validation images were compared.
    pub images: usize,
    /// The largest difference of an image's logits, relative to its largest logit.
    #[serde(deserialize_with = "null_is_nan")]
    pub difference: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored by version 0.1, before reports named the compute backend.
    const STORED: &str = r#"{
        "base": "resnet18", "labels": ["daisy", "tulip"],
        "images": {"train": 4, "validation": 1, "test": 1, "skipped": 0, "cached": 2},
        "options": {"epochs": 1}, "engine": "tract",
        "seconds": {"data": 0.5, "features": 1.0, "training": 0.1, "export": 0.2, "parity": 0.3, "total": 2.1},
        "strategy": "head", "best_epoch": 1,
        "epochs": [{"type": "epoch", "epoch": 1, "epochs": 1, "train_loss": 0.7, "validation_loss": 0.6, "validation_top1": 1.0}],
        "validation": {"images": 0, "top1": 0.0, "top5": 0.0, "loss": 0.0, "classes": [], "confusion": []},
        "test": {"images": 0, "top1": 0.0, "top5": 0.0, "loss": 0.0, "classes": [], "confusion": []},
        "parity": [{"engine": "tract", "images": 1, "difference": 1e-6}]
    }"#;

    #[test]
    fn a_stored_report_of_an_older_version_is_read_and_written_with_the_same_fields() {
        let report: FinetuneReport = serde_json::from_str(STORED).unwrap();
        assert_eq!((report.best_epoch, report.kernels.as_str(), report.images.cached), (Some(1), "", 2));
        let stored: serde_json::Value = serde_json::from_str(STORED).unwrap();
        let written = serde_json::to_value(&report).unwrap();
        for (field, value) in stored.as_object().unwrap().iter().filter(|(field, _)| *field != "options") {
            assert_eq!(&written[field], value, "{field}");
        }
    }

    #[test]
    fn a_loss_that_was_no_number_does_not_make_a_report_unreadable() {
        let stored = STORED
            .replace(r#""train_loss": 0.7"#, r#""train_loss": null"#)
            .replace(r#""loss": 0.0"#, r#""loss": null"#);
        let report: FinetuneReport = serde_json::from_str(&stored).unwrap();
        assert!(report.test.loss.is_nan() && report.validation.loss.is_nan());
    }
}
