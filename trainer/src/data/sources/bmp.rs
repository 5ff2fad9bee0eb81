//! CIFAR's pixels as an image file.
//!
//! Everything that is trained on goes through the shared decoder, which reads files. A BMP without compression is the
//! shortest way there that loses nothing.

/// A side of an image, in pixels.
const SIDE: usize = 32;
/// Bytes of one plane.
const PLANE: usize = SIDE * SIDE;
/// Bytes of an image: three planes.
pub(in crate::data) const CIFAR_BYTES: usize = 3 * PLANE;
/// Bytes of both headers.
const HEADER: usize = 14 + 40;

/// A BMP file of `[3, 32, 32]` bytes, red, green, blue. Its rows go from the bottom to the top and its pixels are blue,
/// green, red; 32 pixels need no padding.
pub(in crate::data) fn of_cifar(planes: &[u8; CIFAR_BYTES]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + CIFAR_BYTES);
    file.extend(b"BM");
    for number in [HEADER + CIFAR_BYTES, 0, HEADER, 40, SIDE, SIDE] {
        file.extend((number as u32).to_le_bytes());
    }
    // One plane, 24 bits a pixel.
    file.extend([1, 0, 24, 0]);
    // No compression; size of the pixels; no resolution; no palette.
    for number in [0, CIFAR_BYTES, 0, 0, 0, 0] {
        file.extend((number as u32).to_le_bytes());
    }
    for row in (0..SIDE).rev() {
        for pixel in row * SIDE..(row + 1) * SIDE {
            file.extend([planes[2 * PLANE + pixel], planes[PLANE + pixel], planes[pixel]]);
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use models::preprocess::{Limits, decode};

    use super::*;

    #[test]
    fn the_decoder_gives_the_pixels_back() {
        let planes: [u8; CIFAR_BYTES] = std::array::from_fn(|byte| (byte * 7 + byte / 256) as u8);
        let image = decode(&of_cifar(&planes), &Limits::default()).unwrap();
        assert_eq!((image.width(), image.height()), (32, 32));
        let interleaved: Vec<u8> =
            (0..PLANE).flat_map(|pixel| [planes[pixel], planes[PLANE + pixel], planes[2 * PLANE + pixel]]).collect();
        assert_eq!(image.data(), interleaved);
    }
}
