//! The report of a shadow, for those who decide about it.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trainer::quantize::VariantKind;
use utoipa::ToSchema;

use super::counts::{Disagreement, ShadowCounts};

/// Whether a shadow answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShadowState {
    /// The memory budget has no room for it now; it is tried again.
    Waiting,
    /// It is being loaded and tested.
    Loading,
    /// It answers.
    Running,
    /// It cannot answer; `reason` says why.
    Failed,
}

/// What the shadow of a model has counted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShadowReport {
    /// The version that answers copies.
    #[schema(example = 4)]
    pub version: u32,
    /// The variant of it that answers, which is chosen as for a version that is to be live; missing before the first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "int8")]
    pub variant: Option<VariantKind>,
    /// The version that it is compared with; missing before the first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub live: Option<u32>,
    /// The share of images that it gets.
    #[schema(example = 0.1)]
    pub share: f64,
    /// Whether it answers.
    pub state: ShadowState,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "golden image 0.jpg: the logits differ by 2.1e-1 of the largest, and 1e-4 is allowed"
    )]
    pub reason: Option<String>,
    /// Since when it counts. A change of the live version begins the counts anew.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:40.871Z")]
    pub since: Timestamp,
    /// Images by what became of them.
    pub images: ShadowCounts,
    /// The share of compared images to which both versions say the same; missing before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.982)]
    pub agreement: Option<f64>,
    /// How long the runs of the models took.
    pub latency_ms: ShadowLatency,
    /// The last hundred images to which the versions say different things, newest first.
    pub disagreements: Vec<Disagreement>,
}

/// How long the runs took, in milliseconds, of the last thousand images. The shadow runs on one thread of the lowest priority,
/// so its numbers are upper bounds of what it would take as the live version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ShadowLatency {
    /// The live version's: of the batch that the image was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub live: Option<LatencyQuantiles>,
    /// Of the image alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub shadow: Option<LatencyQuantiles>,
}

/// Durations in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct LatencyQuantiles {
    /// Their arithmetic mean.
    #[schema(example = 9.8)]
    pub mean: f64,
    /// The median.
    #[schema(example = 9.1)]
    pub p50: f64,
    /// 95 of 100 runs take no longer.
    #[schema(example = 14.6)]
    pub p95: f64,
}

impl LatencyQuantiles {
    /// Of these durations, by nearest rank; `None` where there are none.
    pub(super) fn of(durations: &VecDeque<f32>) -> Option<Self> {
        let mut sorted: Vec<f64> = durations.iter().map(|&ms| f64::from(ms)).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| (share * sorted.len() as f64).ceil() as usize;
        let quantile = |share: f64| sorted.get(rank(share).saturating_sub(1)).copied();
        let mean = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
        Some(Self { mean, p50: quantile(0.5)?, p95: quantile(0.95)? })
    }
}
