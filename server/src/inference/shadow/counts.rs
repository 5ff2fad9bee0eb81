//! What a shadow has counted.

use jiff::Timestamp;
use models::Labels;
use models::spec::ScoreSpec;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a version says to an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowAnswer {
    /// The best class; where classes do not exclude each other, those that are present.
    #[schema(example = json!(["tulip"]))]
    pub labels: Vec<String>,
    /// The best score.
    #[schema(example = 0.71)]
    pub score: f32,
}

/// An image to which the versions say different things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Disagreement {
    /// When the shadow answered.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:40.871Z")]
    pub at: Timestamp,
    /// The request that the image came with.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub request_id: String,
    /// Its place in the request, from 1.
    #[schema(example = 1)]
    pub image: usize,
    /// The SHA-256 of the file, to find the image by: it is not kept.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
    /// What the live version says.
    pub live: ShadowAnswer,
    /// What the shadow says.
    pub shadow: ShadowAnswer,
}

/// Images by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowCounts {
    /// That were chosen for the shadow.
    #[schema(example = 412)]
    pub sampled: u64,
    /// That it has answered.
    #[schema(example = 398)]
    pub compared: u64,
    /// To which both versions say the same: the same best class, or, where classes do not exclude each other, the same classes.
    #[schema(example = 391)]
    pub agreed: u64,
    /// That were given up, because the server was busy.
    #[schema(example = 14)]
    pub dropped: u64,
    /// That the shadow could not answer.
    #[schema(example = 0)]
    pub failed: u64,
}

impl ShadowAnswer {
    /// From the logits of an image.
    #[must_use]
    pub fn new(logits: &[f32], scores: &ScoreSpec, labels: &Labels) -> Self {
        let found = scores.kind.scores(logits);
        let best = found.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let present = |class: &usize| scores.threshold(*class, None).is_none_or(|threshold| found[*class] >= threshold);
        let mut classes: Vec<usize> = scores.answered(&found, 1, None).into_iter().filter(present).collect();
        classes.sort_unstable();
        let name = |class: usize| labels.get(class).unwrap_or_default().to_owned();
        Self { labels: classes.into_iter().map(name).collect(), score: best }
    }
}
