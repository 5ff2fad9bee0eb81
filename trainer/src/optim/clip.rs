//! Limits on the length of the gradient.

use rayon::prelude::*;

/// The Euclidean norm of all gradients taken together. NaN or infinite when any of them is.
///
/// Summed in double precision over fixed chunks and in a fixed order, so it is the same for any number of threads.
#[must_use]
pub fn global_norm(gradients: &[&[f32]]) -> f64 {
    let squares = |gradient: &&[f32]| -> f64 {
        if gradient.len() <= CHUNK {
            return sum_of_squares(gradient);
        }
        gradient.par_chunks(CHUNK).map(sum_of_squares).collect::<Vec<_>>().iter().sum()
    };
    gradients.iter().map(squares).sum::<f64>().sqrt()
}

/// What gradients of this norm are to be multiplied by so that it is `max` at most: `min(1, max / (norm + 1e-6))`, as
/// `torch.nn.utils.clip_grad_norm_`. NaN for a norm that is, so that weights show it.
///
/// Give it to [`Step::gradient_scale`](super::Step::gradient_scale), or to [`scale`].
#[must_use]
pub fn clip_factor(norm: f64, max: f64) -> f32 {
    let factor = (max / (norm + 1e-6)) as f32;
    // Not `f32::min`, which takes the number rather than NaN.
    if factor > 1.0 { 1.0 } else { factor }
}

/// Multiplies every gradient in place.
pub fn scale(gradients: &mut [&mut [f32]], factor: f32) {
    for gradient in gradients {
        gradient.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(|g| *g *= factor));
    }
}

/// Numbers that are summed by one thread. Part of the result: other chunks would round otherwise.
const CHUNK: usize = 1 << 15;
/// Sums that run side by side, so that an addition need not wait for the one before.
const LANES: usize = 8;

fn sum_of_squares(chunk: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (rows, rest) = chunk.as_chunks::<LANES>();
    for row in rows {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}
