//! Images that are part one and part another.

use rand::RngExt;
use rand::distr::{Distribution, Uniform};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::Beta;
use thiserror::Error;

/// Images with the share of each class in each, to be mixed in place.
#[derive(Debug)]
pub struct Mixable<'a> {
    /// `[n, height, width, channels]`, row-major.
    pub images: &'a mut [f32],
    /// Height, width and channels of an image.
    pub shape: [usize; 3],
    /// `[n, classes]`, row-major; [`shares`] makes them of labels.
    pub shares: &'a mut [f32],
    /// How many classes there are.
    pub classes: usize,
}

/// Images cannot be mixed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MixError {
    /// No parameter of a Beta distribution.
    #[error("`alpha` of mixup or CutMix is {alpha}; it must be a positive number, usually 0.1 to 1")]
    Alpha {
        /// The α that was given.
        alpha: f64,
    },
    /// Images and shares do not go together.
    #[error(
        "{images} numbers and {shares} shares are not of the same number of images; each has {shape:?} numbers and \
         {classes} shares"
    )]
    Length {
        /// The length of [`Mixable::images`].
        images: usize,
        /// Numbers of shares.
        shares: usize,
        /// Height, width and channels.
        shape: [usize; 3],
        /// Shares that each image has.
        classes: usize,
    },
}

/// How the images of a batch are mixed: by mixup, by CutMix, or by one of them, with the same chance, as timm's `Mixup`
/// with `switch_prob = 0.5`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mixing {
    /// The parameter α of [`mixup`], above 0; `None` leaves it out.
    pub mixup: Option<f64>,
    /// The parameter α of [`cutmix`], above 0; `None` leaves it out.
    pub cutmix: Option<f64>,
}

impl Mixing {
    /// Whether mixup or CutMix is on.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.mixup.is_some() || self.cutmix.is_some()
    }

    /// Mixes a batch, if it is to be, and gives the share that is left of each image.
    ///
    /// # Errors
    /// [`MixError`]; nothing has changed then.
    pub fn mix(self, batch: &mut Mixable<'_>, rng: &mut ChaCha8Rng) -> Result<f32, MixError> {
        match (self.mixup, self.cutmix) {
            (None, None) => Ok(1.0),
            (Some(alpha), None) => mixup(batch, alpha, rng),
            (None, Some(alpha)) => cutmix(batch, alpha, rng),
            (Some(_), Some(alpha)) if rng.random_bool(0.5) => cutmix(batch, alpha, rng),
            (Some(alpha), Some(_)) => mixup(batch, alpha, rng),
        }
    }
}

/// mixup (Zhang et al. 2018): `λ·a + (1 - λ)·b` of every image `a` with another `b` of the batch, and of their shares
/// alike, with one `λ` from Beta(`alpha`, `alpha`) for the batch. Gives `λ`.
///
/// # Errors
/// [`MixError`]; nothing has changed then.
pub fn mixup(batch: &mut Mixable<'_>, alpha: f64, rng: &mut ChaCha8Rng) -> Result<f32, MixError> {
    let mix = Mix::draw(batch, alpha, rng)?;
    let lambda = mix.lambda as f32;
    mix.blend(batch.images, batch.image(), lambda);
    mix.blend(batch.shares, batch.classes, lambda);
    Ok(lambda)
}

/// CutMix (Yun et al. 2019): a rectangle of every image is another's, of `1 - λ` of the area with `λ` from
/// Beta(`alpha`, `alpha`) where it does not hang over the edge, and at the same place in the whole batch. Shares are
/// mixed by the area that is really left, which it gives.
///
/// # Errors
/// [`MixError`]; nothing has changed then.
pub fn cutmix(batch: &mut Mixable<'_>, alpha: f64, rng: &mut ChaCha8Rng) -> Result<f32, MixError> {
    let mix = Mix::draw(batch, alpha, rng)?;
    let [height, width, channels] = batch.shape;
    let side = (1.0 - mix.lambda).sqrt();
    let (rows, columns) = (span(height, side, rng), span(width, side, rng));
    let lambda = 1.0 - (rows.len() * columns.len()) as f64 / (height * width).max(1) as f64;
    let before = batch.images.to_vec();
    let image = batch.image();
    for (to, &from) in mix.partners.iter().enumerate() {
        for row in rows.clone() {
            let line = (row * width + columns.start) * channels..(row * width + columns.end) * channels;
            let source = &before[from * image..(from + 1) * image][line.clone()];
            batch.images[to * image..(to + 1) * image][line].copy_from_slice(source);
        }
    }
    mix.blend(batch.shares, batch.classes, lambda as f32);
    Ok(lambda as f32)
}

/// `[n, classes]` with a one at the class of each image. A label that is no class leaves its row empty.
#[must_use]
pub fn shares(labels: &[usize], classes: usize) -> Vec<f32> {
    labels.iter().flat_map(|&label| (0..classes).map(move |class| f32::from(class == label))).collect()
}

impl Mixable<'_> {
    /// Numbers of an image.
    fn image(&self) -> usize {
        self.shape.iter().product()
    }
}

/// How much of each image stays, and what it is mixed with.
struct Mix {
    lambda: f64,
    partners: Vec<usize>,
}

impl Mix {
    fn draw(batch: &Mixable<'_>, alpha: f64, rng: &mut ChaCha8Rng) -> Result<Self, MixError> {
        let (images, shares) = (batch.images.len(), batch.shares.len());
        let n = images / batch.image().max(1);
        if images != n * batch.image() || shares != n * batch.classes {
            return Err(MixError::Length { images, shares, shape: batch.shape, classes: batch.classes });
        }
        let beta = Beta::new(alpha, alpha).map_err(|_| MixError::Alpha { alpha })?;
        let lambda = beta.sample(rng);
        let mut partners: Vec<usize> = (0..n).collect();
        partners.shuffle(rng);
        Ok(Self { lambda, partners })
    }

    /// Mixes rows of this length with their partners as they were.
    fn blend(&self, rows: &mut [f32], length: usize, lambda: f32) {
        let before = rows.to_vec();
        for (row, &partner) in rows.chunks_mut(length.max(1)).zip(&self.partners) {
            for (x, &other) in row.iter_mut().zip(&before[partner * length..]) {
                *x = lambda * *x + (1.0 - lambda) * other;
            }
        }
    }
}

/// This share of a length around a point that may be anywhere, cut off at the ends.
fn span(length: usize, share: f64, rng: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let center = Uniform::new(0, length).map_or(0, |points| points.sample(rng));
    let cut = (length as f64 * share) as usize;
    center.saturating_sub(cut / 2)..(center + cut / 2).min(length)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const SHAPE: [usize; 3] = [4, 6, 2];
    const IMAGE: usize = 48;
    const N: usize = 5;

    /// Images of one number each, the image's own, and their classes, which are the same number.
    fn batch() -> (Vec<f32>, Vec<f32>) {
        let images = (0..N).flat_map(|image| [image as f32; IMAGE]).collect();
        (images, shares(&[0, 1, 2, 3, 4], N))
    }

    #[test]
    fn mixup_mixes_images_and_shares_alike() {
        for seed in 0..20 {
            let (mut images, mut shares) = batch();
            let mut mixable = Mixable { images: &mut images, shape: SHAPE, shares: &mut shares, classes: N };
            let lambda = mixup(&mut mixable, 0.4, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            assert!((0.0..=1.0).contains(&lambda));
            for (number, (image, shares)) in images.chunks(IMAGE).zip(shares.chunks(N)).enumerate() {
                // Image k holds k, so a mixture holds the mean of the classes that its shares are of.
                let mean: f32 = shares.iter().enumerate().map(|(class, share)| class as f32 * share).sum();
                assert!(image.iter().all(|x| (x - mean).abs() < 1e-6), "{image:?}, {shares:?}");
                assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                assert!(shares[number] >= lambda - 1e-6);
            }
        }
    }

    #[test]
    fn cutmix_gives_each_class_the_share_of_its_area() {
        let mut cut = 0;
        for seed in 0..20 {
            let (mut images, mut shares) = batch();
            let mut mixable = Mixable { images: &mut images, shape: SHAPE, shares: &mut shares, classes: N };
            let lambda = cutmix(&mut mixable, 1.0, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            for (image, shares) in images.chunks(IMAGE).zip(shares.chunks(N)) {
                for (class, share) in shares.iter().enumerate() {
                    let area = image.iter().filter(|x| **x == class as f32).count() as f32 / IMAGE as f32;
                    assert!((area - share).abs() < 1e-6, "{image:?}, {shares:?}");
                }
            }
            cut += usize::from(lambda < 1.0);
        }
        assert!(cut > 10, "{cut} of 20 batches were cut");
    }

    /// Only mixup makes other numbers of whole ones. Where both are wanted it is in about half of the batches.
    #[test]
    fn each_batch_is_mixed_in_one_way() {
        let blended = |mixing: Mixing| {
            let blended = (0..400).filter(|&seed| {
                let (mut images, mut shares) = batch();
                let mut mixable = Mixable { images: &mut images, shape: SHAPE, shares: &mut shares, classes: N };
                mixing.mix(&mut mixable, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
                images.iter().any(|x| x.fract() != 0.0)
            });
            blended.count()
        };
        let [mixup, cutmix] = [Some(1.0), Some(1.0)];
        // One of the 120 orders of five images leaves each with itself: 3 batches of 400, with a deviation of 2.
        assert!(blended(Mixing { mixup, cutmix: None }) >= 400 - 11);
        assert_eq!(blended(Mixing { mixup: None, cutmix }), 0);
        assert_eq!(blended(Mixing::default()), 0);
        // 400 draws of one half, less half of those 3: the standard deviation is 10, and four of them are 40.
        assert!(blended(Mixing { mixup, cutmix }).abs_diff(198) <= 40);
        assert!(!Mixing::default().is_any() && Mixing { mixup, cutmix: None }.is_any());
    }

    #[test]
    fn lambda_is_of_the_beta_distribution() {
        for alpha in [0.2, 1.0, 4.0] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let draws: Vec<f64> = (0..4000)
                .map(|_| {
                    let mut mixable = Mixable { images: &mut [0.0], shape: [1; 3], shares: &mut [1.0], classes: 1 };
                    f64::from(mixup(&mut mixable, alpha, &mut rng).unwrap())
                })
                .collect();
            let mean = draws.iter().sum::<f64>() / 4000.0;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0;
            // Mean 1/2, variance 1 / (4 (2α + 1)); four standard errors of 4000 draws.
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 4.0 * (expected / 4000.0).sqrt(), "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 4.0 * (2.0_f64 / 4000.0).sqrt(), "{alpha}: {variance}");
        }
    }

    #[test]
    fn what_cannot_be_mixed_is_refused_unchanged() {
        let (mut images, mut shares) = batch();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut mixable = Mixable { images: &mut images, shape: SHAPE, shares: &mut shares, classes: N };
        assert_eq!(mixup(&mut mixable, 0.0, &mut rng), Err(MixError::Alpha { alpha: 0.0 }));
        mixable.classes = 4;
        assert!(matches!(cutmix(&mut mixable, 1.0, &mut rng), Err(MixError::Length { .. })));
        assert_eq!((images, shares), batch());
    }
}
