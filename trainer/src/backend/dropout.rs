//! Which numbers dropout keeps, whatever computes the network.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cpu::kernels::elementwise::blocks;

/// Zeroes numbers at random and divides the others by `1 - p`, which preserves the expectation.
#[derive(Debug, Clone, Copy)]
pub(super) struct DropoutDraw {
    pub(super) p: f32,
    /// The step's number among those of its network.
    pub(super) number: u64,
}

impl DropoutDraw {
    /// The same numbers for the same seed, so that no mask need be kept for the backward pass.
    pub(super) fn apply(self, seed: u64, numbers: &mut [f32]) {
        let keep = 1.0 / (1.0 - self.p);
        blocks(numbers, |block, numbers| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(self.number << 32 | block as u64);
            for number in numbers {
                *number = if rng.random::<f32>() < self.p { 0.0 } else { *number * keep };
            }
        });
    }
}
