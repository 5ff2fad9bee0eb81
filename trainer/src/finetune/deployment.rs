//! Whether a new version takes the place of the one that answers: a part of the report. Whoever publishes the version decides.

use serde::{Deserialize, Serialize};

/// What was decided about a new version, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deployment {
    /// What was decided.
    pub decision: DeployDecision,
    /// Why, as a sentence.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "version 3 goes on: it has 94.1 % of the 340 test images right, the new one 92.4 %, and a drop of 1.0 points is allowed"
        )
    )]
    pub reason: String,
    /// The gate that it had to pass, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub gate: Option<GateResult>,
}

/// What becomes of a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeployDecision {
    /// It is the model's first version, and answers.
    First,
    /// It is stored, and the version before it goes on answering.
    Stored,
    /// It takes the place of the version before it.
    Promoted,
    /// It answers copies of requests.
    Shadow,
    /// It did not pass its gate, or did not load, and does not answer.
    Refused,
}

/// A gate, and what was measured for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateResult {
    /// The share of the test images that the new version had to have right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.9))]
    pub min_top1: Option<f64>,
    /// How much less than the live version it may have right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.01))]
    pub max_drop: Option<f64>,
    /// How many test images there were.
    #[cfg_attr(feature = "openapi", schema(example = 340))]
    pub images: usize,
    /// The share of them that the new version has right.
    #[cfg_attr(feature = "openapi", schema(example = 0.924))]
    pub top1: f64,
    /// The version that it was compared with; missing where `max_drop` was not asked for, or nothing was live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 3))]
    pub live: Option<u32>,
    /// The share of the same images that the live version has right. Classes that it does not know count as wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.941))]
    pub live_top1: Option<f64>,
}
