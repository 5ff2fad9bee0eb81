//! Several views of an image instead of one.

use models::preprocess::PreparedImage;
use serde::{Deserialize, Serialize};

/// Views of an image whose answers are averaged (test-time augmentation): it may be better, and takes as many times as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
pub enum TestViews {
    /// The image alone.
    #[default]
    None,
    /// The image, and the image in a mirror. For images whose left and right mean nothing: no texts, no road signs.
    Flip,
}

impl TestViews {
    /// How many there are of an image.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::None => 1,
            Self::Flip => 2,
        }
    }

    /// The views of an image, itself first.
    #[must_use]
    pub fn of(self, image: PreparedImage) -> Vec<PreparedImage> {
        match self {
            Self::None => vec![image],
            Self::Flip => {
                let mirrored = image.mirrored();
                vec![image, mirrored]
            }
        }
    }

    /// The answer to an image, given those to its views: the mean of the logits.
    #[must_use]
    pub fn mean(views: &[Vec<f32>]) -> Vec<f32> {
        let Some(first) = views.first() else { return vec![] };
        let sum = |class: usize| views.iter().map(|logits| logits[class]).sum::<f32>();
        (0..first.len()).map(|class| sum(class) / views.len() as f32).collect()
    }
}
