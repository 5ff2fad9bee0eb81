use std::fmt;

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
