//! Random changes of training images.
//!
//! They work on decoded 8-bit pixels, between the shared decoder and normalisation, and stand where serving resizes and
//! crops. What they add, borders and corners, is therefore a colour before the mean is subtracted: black becomes minus
//! the mean, as in tflearn, whose augmentation comes before its preprocessing.

mod affine;
mod color;
mod crop;
mod geometry;
mod levels;
mod pixels;
mod policy;
mod rand_augment;
mod random;
mod statistics;
mod transform;
mod view;

use models::Preprocess;
use models::preprocess::{ImageError, Limits, PreprocessError, RgbImage};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use affine::Interpolation;
pub use policy::AugmentationPolicy;
pub use random::SampleKey;
pub use statistics::{PixelSums, Statistics};
pub use transform::Transform;
pub use view::{View, views};

use random::Random;

/// Transforms in the order in which they are done. Unless one of them brings an image to the network's size, the
/// preprocessing does so before them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Augmentation(pub Vec<Transform>);

/// The size that images come to, and how large they may be on the way.
#[derive(Debug, Clone, Copy)]
pub struct Geometry<'a> {
    /// The model's preprocessing.
    pub preprocess: &'a Preprocess,
    /// What a decoded or resized image may take.
    pub limits: &'a Limits,
}

/// An image cannot be augmented.
#[derive(Debug, Error)]
pub enum AugmentError {
    /// A number of a transform that makes no sense.
    #[error("`{parameter}` of an augmentation must be {wanted}")]
    Parameter {
        /// The parameter's name.
        parameter: String,
        /// The allowed range.
        wanted: String,
    },
    /// Images of different sizes where one is needed.
    #[error(
        "the model's preprocessing leaves images of different sizes, so they cannot be cropped to one; give it a crop"
    )]
    Size,
    /// The preprocessing does not fit the image.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl From<PreprocessError> for AugmentError {
    fn from(error: PreprocessError) -> Self {
        Self::Image(error.into())
    }
}

impl Augmentation {
    /// Whether every number of every transform makes sense.
    ///
    /// # Errors
    /// [`AugmentError::Parameter`] naming the first that does not.
    pub fn validate(&self) -> Result<(), AugmentError> {
        self.0.iter().try_for_each(Transform::validate)
    }

    /// A decoded image as it is trained on: equal for equal keys.
    ///
    /// # Errors
    /// [`AugmentError`] if the preprocessing does not fit the image, or has no fixed size where one is needed.
    pub fn apply(&self, image: &RgbImage, geometry: Geometry<'_>, key: SampleKey) -> Result<RgbImage, AugmentError> {
        let Geometry { preprocess, limits } = geometry;
        let fits = self.0.iter().any(Transform::fits);
        let image = if fits { image.clone() } else { preprocess.fit(image, limits)? };
        let mut random = Random::of(key);
        self.0.iter().try_fold(image, |image, transform| transform.apply(image, preprocess, &mut random))
    }
}

#[cfg(test)]
mod tests;
