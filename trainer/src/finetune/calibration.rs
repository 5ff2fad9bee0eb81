//! How scores were calibrated, for reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the scores of a model were calibrated, and what that did to images that no part of the training has seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Calibration {
    /// The divisor of all logits (temperature scaling, Guo et al. 2017). It is in the weights of the head: scores of the model
    /// are calibrated wherever it runs. Below 1 the head was too cautious, above 1 too sure of itself.
    #[cfg_attr(feature = "openapi", schema(example = 0.61))]
    pub temperature: f64,
    /// Which images the temperature was fitted on.
    pub fitted_on: CalibrationImages,
    /// How many images that were.
    #[cfg_attr(feature = "openapi", schema(example = 1020))]
    pub images: usize,
    /// The expected calibration error of the test images without it; missing without test images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.112))]
    pub ece_before: Option<f64>,
    /// The same with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.018))]
    pub ece_after: Option<f64>,
}

/// The images that a temperature is fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CalibrationImages {
    /// Training images, each by a head that was trained without it.
    CrossValidation,
    /// The validation images, which also chose the epoch.
    Validation,
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { temperature, fitted_on, images, ece_before, ece_after } = self;
        let images = match fitted_on {
            CalibrationImages::CrossValidation => format!("{images} training images, each left out once"),
            CalibrationImages::Validation => format!("{images} validation images"),
        };
        write!(f, "scores are calibrated on {images}: temperature {temperature:.2}")?;
        match (ece_before, ece_after) {
            (Some(before), Some(after)) => {
                write!(f, ", calibration error on test images {:.1} %, before {:.1} %", 100.0 * after, 100.0 * before)
            }
            _ => Ok(()),
        }
    }
}
