//! From the bytes of a file to a network's input.

use image::metadata::Orientation;

use super::decode::decode_as;
use super::opened::Opened;
use super::{Decoding, ImageError, Limits, PreparedImage, Preprocess, PreprocessError, Resize, RgbImage};

impl Preprocess {
    /// From the bytes of a file to a network's input: decode, resize and crop, channels first.
    ///
    /// # Errors
    /// [`ImageError`]: what is wrong with the image, or, as [`ImageError::Parameters`], with the parameters.
    pub fn apply(&self, bytes: &[u8], limits: &Limits) -> Result<PreparedImage, ImageError> {
        self.validate()?;
        let fitted = match Opened::new(bytes, limits, self.decoding)? {
            // A picture that lies on its side is turned first: its lines are columns.
            Some(image) if image.orientation() == Orientation::NoTransforms => self.fit_lines(image, limits)?,
            _ => self.fit(&self.decode(bytes, limits)?, limits)?,
        };
        Ok(PreparedImage::new(&fitted))
    }

    /// Decodes an image file for this model: as [`decode()`](super::decode()), or smaller where the model's images are [scaled](Decoding::Scaled).
    ///
    /// # Errors
    /// As [`decode()`](super::decode()).
    pub fn decode(&self, bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
        decode_as(bytes, limits, self.decoding)
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
