//! What a classification answers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use models::doubt::Doubt;
use models::preprocess::ImageError;
use models::scores::ScoreKind;
use serde::{Deserialize, Serialize};
use trainer::quantize::VariantKind;
use utoipa::ToSchema;

use super::refusal;
use crate::explain::Explanation;
use crate::http::problem::Code;

/// What the images show.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Classification {
    /// Names the request, in the server's log and in `POST /feedback`; also in the header `x-request-id`.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub request_id: String,
    /// The model that answered.
    #[schema(example = "flowers")]
    pub model: String,
    /// The version that answered.
    #[schema(example = 3)]
    pub version: u32,
    /// The variant of the version that answered; missing for one that has a single variant, and for a version that does not
    /// answer, which is asked in `f32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "int8")]
    pub variant: Option<VariantKind>,
    /// The engine that ran it: `ort` is ONNX Runtime.
    #[schema(example = "ort")]
    pub engine: String,
    /// How its scores are made: `softmax` of classes that exclude each other, `sigmoid` of classes that stand beside each
    /// other (multi-label), `none` for scores that the network makes itself.
    #[schema(value_type = String, example = "softmax")]
    pub scores: ScoreKind,
    /// The score from which on every class counts as present; for `sigmoid` alone, and missing where each class has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.5)]
    pub threshold: Option<f32>,
    /// One entry for each image, in the order of the request.
    pub results: Vec<ImageResult>,
    /// How many images were in the run of the model, other requests' included.
    #[schema(example = 1)]
    pub batch_size: usize,
    /// How long it took.
    pub timings_ms: Timings,
}

/// What one image shows, or why it cannot be used: `predictions` or `problem`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageResult {
    /// The file name in the form, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rose.jpg")]
    pub file_name: Option<String>,
    /// The classes, best first. Where classes do not exclude each other those with `present` are what the image shows, which may
    /// be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub predictions: Option<Vec<Prediction>>,
    /// Why the first of them is not to be trusted, if it is not: `low_score` below the score from which on answers of the class are
    /// right often enough, `unfamiliar` for an image that is far from every class. Missing for a sure answer, and for models of which
    /// graft has not measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "low_score")]
    pub uncertain: Option<Doubt>,
    /// Why the image cannot be used, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<ImageProblem>,
    /// Whether the image waits for feedback, where the request asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = true)]
    pub kept: Option<bool>,
    /// Where the model sees the best class, where the request asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub explanation: Option<ImageExplanation>,
}

/// Why one of several images cannot be used.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageProblem {
    /// The kind of error as a word for programs, as in the error of a request.
    #[schema(example = "image_truncated")]
    pub code: String,
    /// The status that a request for this image alone is answered with.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong, and what to do about it.
    #[schema(example = "the jpeg is truncated: the file ends before the image does; send it again in full")]
    pub detail: String,
}

/// A class that an image may show.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Prediction {
    /// The class's name.
    #[schema(example = "tulip")]
    pub label: String,
    /// The class's number, from 0.
    #[schema(example = 7)]
    pub class: usize,
    /// How sure the model is, 0 to 1. Scores made by `softmax` add up to 1 over all classes; others stand alone.
    #[schema(example = 0.9731)]
    pub score: f32,
    /// Whether the score reaches the threshold of the class; for `sigmoid` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = true)]
    pub present: Option<bool>,
    /// That threshold; for `sigmoid` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.41)]
    pub threshold: Option<f32>,
}

/// Milliseconds. With several images those of the slowest, where they ran side by side.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Timings {
    /// Decoding and resizing, of the image that took longest.
    #[schema(example = 3.2)]
    pub prepare: f64,
    /// Waiting to be decoded and for the model, of the image that waited longest.
    #[schema(example = 0.1)]
    pub queue: f64,
    /// The run of the model, of the slowest.
    #[schema(example = 9.8)]
    pub inference: f64,
    /// From the moment the body had arrived.
    #[schema(example = 13.4)]
    pub total: f64,
}

/// How an answer is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExplainMethod {
    /// The class activation map of the best class.
    Cam,
}

/// Where the model sees the best class, over the image as the network takes it: resized and cropped.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageExplanation {
    /// How it was made.
    pub method: ExplainMethod,
    /// The number of the class that is explained.
    #[schema(example = 7)]
    pub class: usize,
    /// By row, what each place of the network's last feature map adds to the logit of the class: positive where the image speaks for
    /// it. Where the network ends in averaging and a linear layer, the places add up to the logit without its bias.
    #[schema(example = json!([[0.1, 2.5], [-0.3, 0.8]]))]
    pub values: Vec<Vec<f32>>,
    /// The image with the map over it, as a PNG file in base64: hot where it speaks for the class.
    #[schema(format = Byte, example = "iVBORw0KGgo=")]
    pub overlay_png: String,
}

impl From<Explanation> for ImageExplanation {
    fn from(Explanation { class, map, overlay }: Explanation) -> Self {
        let values = map.values.chunks(map.size[1].max(1)).map(<[f32]>::to_vec).collect();
        Self { method: ExplainMethod::Cam, class, values, overlay_png: BASE64_STANDARD.encode(overlay) }
    }
}

impl ImageProblem {
    pub(super) fn new(code: Code, detail: String) -> Self {
        let entry = code.entry();
        Self { code: entry.name.to_owned(), status: entry.status.as_u16(), detail }
    }

    pub(super) fn of(error: &ImageError) -> Self {
        Self::new(refusal::image(error).code(), error.to_string())
    }
}
