use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Decoding, PreparedImage, PreprocessError, RgbImage, rules};
use crate::ops::Normalize;

/// How an image becomes the input of a network. Stored with the weights; without it they mean nothing.
///
/// Unknown fields are refused when reading: a misspelt `crop` must not silently become no crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Which rules the fields below are read by; see [`Preprocess::VERSION`].
    pub version: u32,
    /// The first step: resizing.
    pub resize: Resize,
    /// The filter it uses.
    pub filter: Filter,
    /// The second step: cutting out the centre; `None` keeps everything.
    pub crop: Option<Crop>,
    /// Mean of each channel (red, green, blue) over values scaled to `0..=1`. Subtracted inside the network's graph,
    /// not here.
    pub mean: [f32; 3],
    /// Standard deviation of each channel (red, green, blue) over values scaled to `0..=1`. Divided by inside the
    /// network's graph, not here.
    pub std: [f32; 3],
    /// How the pixels of large JPEGs are had.
    #[serde(default, skip_serializing_if = "Decoding::is_exact")]
    pub decoding: Decoding,
}

/// How an image is resized before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Resize {
    /// Not at all.
    None,
    /// So that the shorter side becomes `size`; the longer one becomes `size * longer / shorter`, rounded down.
    ShorterSide {
        /// Length of the shorter side, in pixels.
        size: u32,
    },
    /// To this size, whatever the proportions.
    Exact {
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
    },
}

/// Resampling filter, as PIL has it: widened by the scale when shrinking, so that every source pixel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle, one pixel either side. torchvision's default.
    Bilinear,
    /// Catmull-Rom cubic (a = -0.5), two pixels either side.
    Bicubic,
    /// Lanczos-windowed sinc, three pixels either side.
    Lanczos,
}

/// Size of what is cut out of the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Height, in pixels.
    pub height: u32,
    /// Width, in pixels.
    pub width: u32,
}

impl Preprocess {
    /// The version of the rules that this code implements. It changes whenever the same parameters and bytes would
    /// give other pixels, so that a model never meets pixels it was not measured on.
    pub const VERSION: u32 = rules::VERSION;

    /// Longest side that parameters may name, in pixels.
    pub const MAX_SIDE: u32 = rules::MAX_SIDE;

    /// What torchvision's pretrained classifiers expect (its `ImageClassification` preset): shorter side to 256/224 of
    /// the crop's, rounded; bilinear; centre crop; mean and standard deviation of ImageNet.
    pub fn torchvision(height: u32, width: u32) -> Self {
        let size = (f64::from(height.min(width)) * 256.0 / 224.0).round() as u32;
        Self {
            version: Self::VERSION,
            resize: Resize::ShorterSide { size },
            filter: Filter::Bilinear,
            crop: Some(Crop { height, width }),
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            decoding: Decoding::Exact,
        }
    }

    /// The normalization that belongs at the beginning of the network, from pixels `0..=255`.
    pub fn normalize(&self) -> Normalize {
        Normalize::for_bytes(&self.mean, &self.std)
    }

    /// `(height, width)` of what comes out, if it does not depend on the image.
    pub fn output_size(&self) -> Option<(u32, u32)> {
        match (self.crop, self.resize) {
            (Some(crop), _) => Some((crop.height, crop.width)),
            (None, Resize::Exact { width, height }) => Some((height, width)),
            (None, Resize::None | Resize::ShorterSide { .. }) => None,
        }
    }

    /// Whether this code can do what the parameters say, and whether they make sense.
    ///
    /// # Errors
    /// The first thing wrong: another version, a side that is not in `1..=`[`MAX_SIDE`](Self::MAX_SIDE), a crop so large
    /// that every image would get black borders, a mean or deviation that cannot be computed with.
    pub fn validate(&self) -> Result<(), PreprocessError> {
        if self.version != Self::VERSION {
            return Err(PreprocessError::Version { found: self.version });
        }
        for (what, value) in self.sides() {
            if !(1..=Self::MAX_SIDE).contains(&value) {
                return Err(PreprocessError::Side { what, value });
            }
        }
        if let Some(crop) = self.crop.filter(|crop| always_pads(self.resize, *crop)) {
            return Err(PreprocessError::CropTooLarge { height: crop.height, width: crop.width });
        }
        for (channel, (&mean, &std)) in self.mean.iter().zip(&self.std).enumerate() {
            if !mean.is_finite() {
                return Err(PreprocessError::Mean { channel, value: mean });
            }
            if !(std.is_finite() && std > 0.0) {
                return Err(PreprocessError::Std { channel, value: std });
            }
        }
        Ok(())
    }

    /// SHA-256 of the parameters as compact JSON with the fields in the order declared here, in lower-case
    /// hexadecimal. Equal parameters, equal checksum.
    pub fn checksum(&self) -> String {
        let json = serde_json::to_vec(self).expect("numbers and fixed strings always serialise");
        hex::encode(Sha256::digest(json))
    }

    /// An image that has been brought to the network's size in another way, as augmentation does, as the network's input.
    ///
    /// # Errors
    /// [`PreprocessError::Shape`] if it is not of that size.
    pub fn prepared(&self, image: &RgbImage) -> Result<PreparedImage, PreprocessError> {
        let found = [3, image.height() as usize, image.width() as usize];
        match self.output_size() {
            Some((height, width)) if found != [3, height as usize, width as usize] => {
                Err(PreprocessError::Shape { index: 0, expected: [3, height as usize, width as usize], found })
            }
            _ => Ok(PreparedImage::new(image)),
        }
    }

    /// Every side that the parameters name.
    fn sides(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let resize = match self.resize {
            Resize::None => [None, None],
            Resize::ShorterSide { size } => [Some(("resize size", size)), None],
            Resize::Exact { width, height } => [Some(("resize width", width)), Some(("resize height", height))],
        };
        let crop = self.crop.map(|crop| [("crop height", crop.height), ("crop width", crop.width)]);
        let decoding = match self.decoding {
            Decoding::Exact => None,
            Decoding::Scaled { shorter_side } => Some(("shorter side of decoded images", shorter_side)),
        };
        resize.into_iter().flatten().chain(crop.into_iter().flatten()).chain(decoding)
    }
}

/// Whether the crop is larger than the resized image whatever the image. Larger than *some* is torchvision's business
/// as usual: it pads them with black.
fn always_pads(resize: Resize, crop: Crop) -> bool {
    match resize {
        Resize::None => false,
        Resize::ShorterSide { size } => crop.height.min(crop.width) > size,
        Resize::Exact { width, height } => crop.height > height || crop.width > width,
    }
}
