//! Where random crops lie.

use models::preprocess::Region;

use super::geometry::Window;
use super::random::Random;

/// How often a crop is drawn before there is another answer.
const ATTEMPTS: usize = 10;

/// What a random rectangle may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    /// The share of the image's area, from and to.
    pub(super) scale: [f64; 2],
    /// Width to height, from and to.
    pub(super) ratio: [f64; 2],
}

/// `RandomResizedCrop.get_params` of torchvision: area and logarithm of the ratio are drawn evenly, and after ten crops
/// that do not fit, the largest in the middle with a ratio that is allowed is taken.
pub(super) fn resized(random: &mut Random, (width, height): (u32, u32), shape: Shape) -> Window {
    for _ in 0..ATTEMPTS {
        let (w, h) = draw(random, (width, height), shape);
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = random.below(height - h + 1);
            let left = random.below(width - w + 1);
            return Window { left, top, width: w, height: h };
        }
    }
    let [narrowest, widest] = shape.ratio;
    let ratio = f64::from(width) / f64::from(height);
    let whole = |length: f64, end: u32| (length.round_ties_even() as u32).clamp(1, end);
    let (w, h) = if ratio < narrowest {
        (width, whole(f64::from(width) / narrowest, height))
    } else if ratio > widest {
        (whole(f64::from(height) * widest, width), height)
    } else {
        (width, height)
    };
    Window { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

/// What a crop of `(height, width)` anywhere in the image shows, once the shorter side has a length from this range: the
/// part of the image as it is that it comes from.
pub(super) fn scaled(
    random: &mut Random,
    (width, height): (u32, u32),
    [low, high]: [u32; 2],
    output: (u32, u32),
) -> Region {
    let side = (low + random.below(high - low + 1)).max(output.0).max(output.1);
    let shorter = width.min(height);
    let scale = f64::from(shorter) / f64::from(side);
    let mut place = |length: u32, part: u32| {
        let scaled = u64::from(length) * u64::from(side) / u64::from(shorter);
        let start = f64::from(random.below(scaled as u32 - part + 1)) * scale;
        // Rounding must not lead out of the image.
        (start, (f64::from(part) * scale).min(f64::from(length) - start))
    };
    let (top, height) = place(height, output.0);
    let (left, width) = place(width, output.1);
    Region { left, top, width, height }
}

/// `RandomErasing.get_params` of torchvision: a rectangle smaller than the image, or none after ten that are not. Its
/// ratio is height to width.
pub(super) fn erased(random: &mut Random, (width, height): (u32, u32), shape: Shape) -> Option<Window> {
    for _ in 0..ATTEMPTS {
        let (h, w) = draw(random, (width, height), shape);
        if w < width && h < height {
            let top = random.below(height - h + 1);
            let left = random.below(width - w + 1);
            return Some(Window { left, top, width: w, height: h });
        }
    }
    None
}

/// The two sides of a rectangle, the first being `ratio` times the second. Python rounds halves to even.
fn draw(random: &mut Random, (width, height): (u32, u32), shape: Shape) -> (u32, u32) {
    let area = f64::from(width) * f64::from(height) * random.uniform(shape.scale);
    let ratio = random.uniform(shape.ratio.map(f64::ln)).exp();
    ((area * ratio).sqrt().round_ties_even() as u32, (area / ratio).sqrt().round_ties_even() as u32)
}

#[cfg(test)]
mod tests {
    use super::super::random::SampleKey;
    use super::*;

    const SHAPE: Shape = Shape { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };

    fn windows(size: (u32, u32), shape: Shape) -> Vec<Window> {
        (0..2000).map(|sample| resized(&mut Random::of(SampleKey { seed: 5, epoch: 0, sample }), size, shape)).collect()
    }

    #[test]
    fn crops_lie_in_the_image_and_keep_to_scale_and_ratio() {
        let windows = windows((300, 200), SHAPE);
        for window in &windows {
            assert!(window.left + window.width <= 300 && window.top + window.height <= 200, "{window:?}");
            let share = f64::from(window.width * window.height) / 60_000.0;
            let ratio = f64::from(window.width) / f64::from(window.height);
            // Rounding both sides to whole pixels moves a crop of at least 60 pixels a side by 1 in 60.
            assert!((0.078..=1.0).contains(&share) && (0.73..=1.36).contains(&ratio), "{window:?}");
        }
        let mean = |number: fn(&Window) -> f64| windows.iter().map(number).sum::<f64>() / windows.len() as f64;
        // Both borders are as far from the crop on average: within 5 standard errors, 60 / sqrt(2000) each.
        assert!(mean(|w| f64::from(w.left) - f64::from(300 - w.left - w.width)).abs() < 12.0);
    }

    #[test]
    fn what_never_fits_is_cut_from_the_middle() {
        // torchvision: ratio 10 is above 4/3, so 20 * 4/3 = 26.67 of 200 columns.
        let tall_only = Shape { scale: [1.0, 1.0], ..SHAPE };
        let window = Window { left: 86, top: 0, width: 27, height: 20 };
        assert_eq!(windows((200, 20), tall_only)[0], window);
        let window = Window { left: 0, top: 86, width: 20, height: 27 };
        assert_eq!(windows((20, 200), tall_only)[0], window);
    }

    #[test]
    fn scaled_crops_lie_in_the_image_and_have_its_proportions() {
        let mut whole = 0;
        for sample in 0..500 {
            let mut random = Random::of(SampleKey { seed: 2, epoch: 0, sample });
            let Region { left, top, width, height } = scaled(&mut random, (500, 375), [224, 512], (224, 224));
            assert!(left >= 0.0 && top >= 0.0 && left + width <= 500.0 && top + height <= 375.0);
            assert!((width - height).abs() < 1e-9, "{width} {height}");
            // Of 512 pixels 224 are seen, of 224 all.
            assert!((375.0 * 224.0 / 512.0 - 1e-9..=375.0).contains(&height), "{height}");
            whole += usize::from(height > 374.0);
        }
        assert!(whole < 20, "sizes are drawn evenly, so about two of 500 are whole: {whole}");
    }

    #[test]
    fn erased_rectangles_are_smaller_than_the_image() {
        let shape = Shape { scale: [0.02, 0.33], ratio: [0.3, 3.3] };
        for sample in 0..500 {
            let window = erased(&mut Random::of(SampleKey { seed: 0, epoch: 0, sample }), (32, 24), shape).unwrap();
            assert!(window.width < 32 && window.height < 24, "{window:?}");
            assert!(window.left + window.width <= 32 && window.top + window.height <= 24, "{window:?}");
            let share = f64::from(window.width * window.height) / 768.0;
            assert!((0.01..=0.36).contains(&share), "{share}");
        }
    }
}
