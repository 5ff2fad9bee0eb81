//! How the images of a new model are decoded.

use models::preprocess::Decoding;
use serde::{Deserialize, Serialize};

use super::{Base, FinetuneError};

/// How large JPEGs are decoded, in training and by whoever serves the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "lowercase"))]
pub enum ImageDecoding {
    /// As the base model decodes its own.
    #[default]
    Base,
    /// Every pixel is decoded, as PIL does.
    Exact,
    /// At an eighth, a quarter or half of the size, as long as twice the size remains that the network needs: a fifth to
    /// two fifths of the time, and pixels that differ by less than one grey level on average.
    Scaled,
}

impl Base {
    /// The same base with images that are decoded so; its weights are as they were.
    ///
    /// # Errors
    /// [`FinetuneError::Preprocess`] for a base that does not resize its images.
    pub fn with_decoding(mut self, decoding: ImageDecoding) -> Result<Self, FinetuneError> {
        let preprocess = match &mut self {
            Base::Network(network) => &mut network.spec.preprocess,
            Base::File(file) => &mut file.behind.spec.preprocess,
        };
        match decoding {
            ImageDecoding::Base => {}
            ImageDecoding::Exact => preprocess.decoding = Decoding::Exact,
            ImageDecoding::Scaled => *preprocess = preprocess.scaled()?,
        }
        Ok(self)
    }
}
