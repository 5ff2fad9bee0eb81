//! What all operations on pixels are built from.

use models::preprocess::{PreprocessError, RgbImage};

/// An image of the same size with each pixel changed by itself.
pub(super) fn map(image: &RgbImage, change: impl Fn([u8; 3]) -> [u8; 3]) -> Result<RgbImage, PreprocessError> {
    let pixels = image.data().as_chunks::<3>().0;
    RgbImage::new(image.width(), image.height(), pixels.iter().flat_map(|&pixel| change(pixel)).collect())
}

/// An image of `width` x `height` pixels, each asked for by its column and row.
pub(super) fn build(
    (width, height): (u32, u32),
    pixel: impl Fn(usize, usize) -> [u8; 3],
) -> Result<RgbImage, PreprocessError> {
    let mut data = Vec::with_capacity(3 * width as usize * height as usize);
    for y in 0..height as usize {
        (0..width as usize).for_each(|x| data.extend(pixel(x, y)));
    }
    RgbImage::new(width, height, data)
}

/// One pixel; the place must lie in the image.
pub(super) fn at(image: &RgbImage, x: usize, y: usize) -> [u8; 3] {
    image.data().as_chunks::<3>().0[y * image.width() as usize + x]
}

/// Grey as PIL's `convert("L")`: ITU-R 601-2 in 16-bit fixed point, rounded.
pub(super) fn gray([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

/// How often each level of each channel comes.
pub(super) fn histograms(image: &RgbImage) -> [[u64; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in image.data().as_chunks::<3>().0 {
        pixel.iter().zip(&mut counts).for_each(|(&level, counts)| counts[usize::from(level)] += 1);
    }
    counts
}
