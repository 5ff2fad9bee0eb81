//! A map of numbers over an image, for people who ask where a network looks.

use super::RgbImage;
use super::card::encode_png;

/// Numbers over an image, by row: high ones are hot.
#[derive(Debug, Clone, Copy)]
pub struct HeatMap<'a> {
    /// Rows and columns, evenly over the whole image.
    pub size: [usize; 2],
    /// One for each place. Negative numbers are shown as zero, and so is a place without a number.
    pub values: &'a [f32],
}

/// How much of a hot place is color; what is cold stays as it is, but darker, so that hot places stand out in black and
/// white too.
const OPACITY: f32 = 0.55;
/// What is left of the brightness of a cold place.
const DIMMED: f32 = 0.55;

/// From cold to hot: the even steps of "inferno" (Smith and van der Walt, matplotlib 1.5) whose brightness grows all the
/// way, so that people who see few colors read it as well.
const COLORS: [[f32; 3]; 5] =
    [[0.0, 0.0, 4.0], [87.0, 16.0, 110.0], [188.0, 55.0, 84.0], [249.0, 142.0, 9.0], [252.0, 255.0, 164.0]];

impl HeatMap<'_> {
    /// The image with the map over it, as a PNG file of the image's size. Between the middles of places the map is
    /// interpolated linearly; the largest number is hottest.
    #[must_use]
    pub fn over(&self, image: &RgbImage) -> Vec<u8> {
        let [rows, columns] = self.size.map(|side| side.max(1));
        let value = |place: usize| self.values.get(place).map_or(0.0, |value| value.max(0.0));
        let hottest = self.values.iter().copied().fold(0.0_f32, f32::max).max(f32::MIN_POSITIVE);
        let (width, height) = (image.width() as usize, image.height() as usize);
        let across: Vec<Between> = (0..width).map(|x| Between::of(x, width, columns)).collect();
        let mut pixels = Vec::with_capacity(image.data().len());
        for (y, row) in image.data().chunks_exact(3 * width).enumerate() {
            let down = Between::of(y, height, rows);
            for (x, pixel) in row.as_chunks::<3>().0.iter().enumerate() {
                let at = |row: usize| across[x].mix(|column| value(row * columns + column));
                let heat = down.mix(at) / hottest;
                pixels.extend(blend(*pixel, heat));
            }
        }
        encode_png(image.width(), image.height(), &pixels)
    }
}

/// Two neighbours of a line of numbers, and how far a pixel is from the first to the second.
#[derive(Clone, Copy)]
struct Between {
    first: usize,
    second: usize,
    share: f32,
}

impl Between {
    /// Of so many numbers that lie evenly over so many pixels.
    fn of(pixel: usize, pixels: usize, numbers: usize) -> Self {
        Self::at((pixel as f32 + 0.5) * numbers as f32 / pixels as f32 - 0.5, numbers)
    }

    fn at(position: f32, numbers: usize) -> Self {
        let position = position.clamp(0.0, (numbers - 1) as f32);
        let first = position as usize;
        Self { first, second: (first + 1).min(numbers - 1), share: position - first as f32 }
    }

    fn mix(self, number: impl Fn(usize) -> f32) -> f32 {
        number(self.first) * (1.0 - self.share) + number(self.second) * self.share
    }
}

fn blend(pixel: [u8; 3], heat: f32) -> [u8; 3] {
    let step = Between::at(heat * (COLORS.len() - 1) as f32, COLORS.len());
    let kept = DIMMED + (1.0 - OPACITY - DIMMED) * heat;
    std::array::from_fn(|channel| {
        let color = step.mix(|step| COLORS[step][channel]);
        (f32::from(pixel[channel]) * kept + color * OPACITY * heat).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, decode};
    use super::*;

    fn over(values: &[f32], size: [usize; 2]) -> RgbImage {
        let gray = RgbImage::new(8, 4, vec![100; 96]).unwrap();
        decode(&HeatMap { size, values }.over(&gray), &Limits::default()).unwrap()
    }

    fn brightness(image: &RgbImage, x: usize, y: usize) -> u32 {
        image.data()[3 * (y * 8 + x)..][..3].iter().map(|&byte| u32::from(byte)).sum()
    }

    #[test]
    fn hot_places_are_bright_and_cold_ones_dim() {
        let image = over(&[0.0, 1.0, -5.0, 0.5], [2, 2]);
        assert_eq!((image.width(), image.height()), (8, 4));
        let [cold, hot, negative, warm] = [(0, 0), (7, 0), (0, 3), (7, 3)].map(|(x, y)| brightness(&image, x, y));
        // 100 · 0.55 of each channel.
        assert_eq!([cold, negative], [165, 165]);
        assert!(hot > warm && warm > cold, "{hot} {warm} {cold}");
    }

    #[test]
    fn a_map_without_anything_hot_leaves_the_image_dim() {
        let image = over(&[0.0, -1.0], [1, 2]);
        assert!(image.data().iter().all(|&byte| byte == 55));
    }

    #[test]
    fn places_without_a_number_are_cold() {
        let image = over(&[1.0], [1, 2]);
        assert!(brightness(&image, 0, 0) > brightness(&image, 7, 0));
        assert!(over(&[], [0, 0]).data().iter().all(|&byte| byte == 55));
    }
}
