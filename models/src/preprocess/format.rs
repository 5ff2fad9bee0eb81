use std::fmt;

use super::{ImageError, foreign};

/// A file format that [`decode`](super::decode()) reads. Told by the first bytes of the file, never by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Windows bitmap.
    Bmp,
    /// GIF; the first frame.
    Gif,
    /// JPEG: baseline and progressive; grey, YCbCr, CMYK and YCCK.
    Jpeg,
    /// PNG: every colour type and depth; of an animated one the default image.
    Png,
    /// WebP, lossy and lossless; the first frame.
    WebP,
}

impl ImageFormat {
    /// Every format, in alphabetical order.
    pub const ALL: [Self; 5] = [Self::Bmp, Self::Gif, Self::Jpeg, Self::Png, Self::WebP];

    /// The lower-case name: `bmp`, `gif`, `jpeg`, `png`, `webp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bmp => "bmp",
            Self::Gif => "gif",
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// The names of all formats, for messages: `bmp, gif, jpeg, png, webp`.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Tells the format by the file's first bytes.
    ///
    /// # Errors
    /// [`ImageError`] for bytes of no image, or of one in another format.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        use image::ImageFormat as Known;
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        match image::guess_format(bytes) {
            Ok(Known::Bmp) => Ok(Self::Bmp),
            Ok(Known::Gif) => Ok(Self::Gif),
            Ok(Known::Jpeg) => Ok(Self::Jpeg),
            Ok(Known::Png) => Ok(Self::Png),
            Ok(Known::WebP) => Ok(Self::WebP),
            _ => Err(foreign::refusal(bytes)),
        }
    }

    pub(super) fn of_image_crate(self) -> image::ImageFormat {
        match self {
            Self::Bmp => image::ImageFormat::Bmp,
            Self::Gif => image::ImageFormat::Gif,
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::Png => image::ImageFormat::Png,
            Self::WebP => image::ImageFormat::WebP,
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
