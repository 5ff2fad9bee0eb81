//! How an image file stores its pixels, which [`decode`](super::decode()) makes upright 8-bit RGB of.

use image::metadata::Orientation;
use serde::{Deserialize, Serialize};

/// What a stored pixel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorMode {
    /// A shade of gray.
    Gray,
    /// A shade of gray with transparency, which is dropped.
    GrayAlpha,
    /// A number in a table of colors. BMP stores grays so too.
    Palette,
    /// Red, green and blue.
    Rgb,
    /// The same with transparency, which is dropped: what was hidden shows.
    Rgba,
    /// Inks for printing. Their colors are multiplied out without a profile, and look paler or stronger than in print.
    Cmyk,
}

/// How an image file stores its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTraits {
    /// What a pixel is.
    pub mode: ColorMode,
    /// Whether each channel has 16 bits, of which the high byte is kept.
    pub deep: bool,
    /// Whether its metadata say that it is to be turned or mirrored, which is done.
    pub turned: bool,
}

impl ColorMode {
    /// Whether it is another than that of photographs.
    #[must_use]
    pub fn is_unusual(self) -> bool {
        self != Self::Rgb
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gray => "gray",
            Self::GrayAlpha => "gray with transparency",
            Self::Palette => "palette",
            Self::Rgb => "RGB",
            Self::Rgba => "RGB with transparency",
            Self::Cmyk => "CMYK",
        }
    }
}

impl ImageTraits {
    pub(super) fn of_8_bits(mode: ColorMode, orientation: Orientation) -> Self {
        Self { mode, deep: false, turned: orientation != Orientation::NoTransforms }
    }
}
