//! What the header of an image file says, and whether that is within the limits.

use super::{ImageError, ImageFormat, Limits};

/// What the header of an image file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The file format.
    pub format: ImageFormat,
    /// Width as stored, in pixels: an EXIF orientation may yet turn it into the height.
    pub width: u32,
    /// Height as stored, in pixels.
    pub height: u32,
}

impl Limits {
    /// Accepts or refuses the size that a header declares.
    pub(super) fn check(&self, width: u32, height: u32) -> Result<(), ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::ZeroSized { width, height });
        }
        let pixels = u64::from(width) * u64::from(height);
        if width > self.max_width || height > self.max_height || pixels > self.max_pixels {
            return Err(ImageError::TooLarge { width, height, limits: *self });
        }
        Ok(())
    }
}
