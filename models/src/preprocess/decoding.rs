use serde::{Deserialize, Serialize};

use super::{ImageError, ImageFormat, Limits, Preprocess, PreprocessError, Resize, RgbImage, decode, jpeg};

/// How the pixels of a JPEG are had. Files of other formats are decoded whole in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decoding {
    /// All of them are decoded.
    #[default]
    Exact,
    /// A large picture is decoded at an eighth, a quarter or half of its size, whichever is the least that keeps the shorter side so
    /// long. It is the picture that PIL's `draft` gives, and takes a third to half of the time.
    Scaled {
        /// How many pixels the shorter side keeps at least.
        shorter_side: u32,
    },
}

impl Decoding {
    /// Whether this is what models have that say nothing of it.
    pub(super) fn is_exact(&self) -> bool {
        *self == Self::Exact
    }

    /// The divisor of a picture's sides.
    pub(super) fn divisor(self, width: u32, height: u32) -> u8 {
        let Self::Scaled { shorter_side } = self else { return 1 };
        let most = width.min(height) / shorter_side.max(1);
        [8_u8, 4, 2].into_iter().find(|&divisor| u32::from(divisor) <= most).unwrap_or(1)
    }
}

impl Preprocess {
    /// Decodes an image file for this model: as [`decode()`], or smaller where the model's images are [scaled](Decoding::Scaled).
    ///
    /// # Errors
    /// As [`decode()`].
    pub fn decode(&self, bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
        match (self.decoding, ImageFormat::of(bytes)?) {
            (Decoding::Scaled { .. }, ImageFormat::Jpeg) => {
                jpeg::open(bytes, limits)?.decode(self.decoding).and_then(super::decode::upright)
            }
            _ => decode(bytes, limits),
        }
    }

    /// The same for images that are decoded at twice the size to which they are resized, or more: [`resample`](super::resample())
    /// still halves them, so that what comes out differs by less than one grey level on average from what all pixels give.
    ///
    /// # Errors
    /// [`PreprocessError::Unscaled`] where images are not resized.
    pub fn scaled(&self) -> Result<Self, PreprocessError> {
        let side = match self.resize {
            Resize::None => return Err(PreprocessError::Unscaled),
            Resize::ShorterSide { size } => size,
            Resize::Exact { width, height } => width.max(height),
        };
        Ok(Self { decoding: Decoding::Scaled { shorter_side: 2 * side }, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow 13: `Image.open(file).draft("RGB", (512, 512))`, and the size that the image has then.
    #[test]
    fn sides_are_divided_as_by_pils_draft() {
        let scaled = Decoding::Scaled { shorter_side: 512 };
        for ([width, height], divisor) in [
            ([511, 4000], 1),
            ([1023, 1024], 1),
            ([1024, 1024], 2),
            ([2047, 4000], 2),
            ([2048, 2048], 4),
            ([4095, 9000], 4),
        ] {
            assert_eq!(scaled.divisor(width, height), divisor, "{width}x{height}");
        }
        assert_eq!(scaled.divisor(6000, 4096), 8);
        assert_eq!(scaled.divisor(60_000, 40_000), 8);
        assert_eq!(Decoding::Exact.divisor(6000, 4096), 1);
    }

    #[test]
    fn images_keep_twice_the_size_that_they_are_resized_to() {
        let scaled = Preprocess::torchvision(224, 224).scaled().unwrap();
        assert_eq!(scaled.decoding, Decoding::Scaled { shorter_side: 512 });
        let none = Preprocess { resize: Resize::None, crop: None, ..Preprocess::torchvision(224, 224) };
        assert!(matches!(none.scaled(), Err(PreprocessError::Unscaled)));
    }

    #[test]
    fn a_model_that_says_nothing_decodes_exactly_and_is_written_as_before() {
        let exact = Preprocess::torchvision(224, 224);
        let text = serde_json::to_string(&exact).unwrap();
        assert!(!text.contains("decoding"), "{text}");
        assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), exact);
        let scaled = exact.scaled().unwrap();
        let text = serde_json::to_string(&scaled).unwrap();
        assert!(text.ends_with(r#""decoding":{"mode":"scaled","shorter_side":512}}"#), "{text}");
        assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), scaled);
        assert_ne!(exact.checksum(), scaled.checksum());
    }
}
