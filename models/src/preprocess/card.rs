//! Synthetic photographs, for checks that must not depend on anybody's pictures.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Overlapping waves a channel.
const WAVES: usize = 4;

/// A PNG of smooth coloured waves with a little noise, equal for equal seeds: enough structure that two networks, or two
/// ways of preparing it, give clearly different answers. Sides are in pixels, at least one.
#[must_use]
pub fn test_card(seed: u64, width: u32, height: u32) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut wave = || [rng.random_range(-9.0..9.0), rng.random_range(-9.0..9.0), rng.random_range(0.0..6.3_f64)];
    let waves: [[[f64; 3]; WAVES]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| wave()));
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
            for waves in &waves {
                let sum: f64 = waves.iter().map(|[du, dv, phase]| (du * u + dv * v + phase).sin()).sum();
                let noise: f64 = rng.random_range(-8.0..8.0);
                pixels.push((127.5 + 30.0 * sum + noise).clamp(0.0, 255.0) as u8);
            }
        }
    }
    encode_png(width, height, &pixels)
}

/// A PNG file of `[height, width, 3]` pixels.
pub(super) fn encode_png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let result = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    // Writing into memory fails only for sizes that do not match the pixels, and these do.
    debug_assert!(result.is_ok(), "{result:?}");
    bytes
}
