/// What a decoder may allocate for metadata, which are compressed in some formats and so can be a bomb of their own.
pub(super) const METADATA_BYTES: usize = 64 << 20;

/// How large an image may be. Checked against the header, before a single pixel is decoded, so that a file of a
/// hundred bytes that declares a hundred thousand pixels a side costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width, in pixels.
    pub max_width: u32,
    /// Largest height, in pixels.
    pub max_height: u32,
    /// Largest width times height, in pixels. Decoding takes up to about 16 bytes for each.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 16384 x 16384 and 50 megapixels: every phone's and most cameras' pictures, at under a gigabyte in the
    /// worst case.
    fn default() -> Self {
        Self { max_width: 16_384, max_height: 16_384, max_pixels: 50_000_000 }
    }
}

impl Limits {
    /// So many millions of pixels in any proportions, but no side longer than 65,535 pixels, the longest of a JPEG.
    #[must_use]
    pub fn megapixels(megapixels: u64) -> Self {
        let max_pixels = megapixels.saturating_mul(1_000_000);
        let standard = Self::default();
        if max_pixels <= standard.max_pixels {
            Self { max_pixels, ..standard }
        } else {
            Self { max_width: 65_535, max_height: 65_535, max_pixels }
        }
    }
}
