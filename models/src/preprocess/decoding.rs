use serde::{Deserialize, Serialize};

/// How the pixels of a JPEG are had. Files of other formats are decoded whole in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decoding {
    /// All of them are decoded.
    #[default]
    Exact,
    /// A large picture is decoded at an eighth, a quarter or half of its size, whichever is the least that keeps the shorter side so
    /// long. It is the picture that PIL's `draft` gives, and takes a fifth to two fifths of the time.
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
}
