//! What a fine-tuning run makes.

use super::golden::Golden;
use super::report::FinetuneReport;
use super::{ModelContent, Picture};
use crate::data::NamedImage;

/// A new model.
#[derive(Debug, Clone)]
pub struct Finetuned {
    /// The model to publish.
    pub content: ModelContent,
    /// What was done and measured.
    pub report: FinetuneReport,
    /// Test images with their logits.
    pub golden: Vec<Golden>,
    /// Small pictures of the images that the report names.
    pub pictures: Vec<Picture>,
    /// The images that measured it, for a comparison with another model.
    pub measured: Vec<NamedImage>,
}
