//! How long a run takes.

use std::time::Instant;

use models::preprocess::ImageBatch;
use onnx::{Engine, EngineError};

/// Runs of each engine that are measured.
const RUNS: usize = 15;

/// The median milliseconds of each engine for one image. Their runs alternate, so that all see the same machine.
pub(super) fn medians(engines: &mut [Box<dyn Engine>], image: &ImageBatch) -> Result<Vec<f64>, EngineError> {
    let mut times = vec![vec![]; engines.len()];
    for _ in 0..=RUNS {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            let started = Instant::now();
            engine.run(image)?;
            times.push(1000.0 * started.elapsed().as_secs_f64());
        }
    }
    // The first run of each warms it up.
    Ok(times.iter().map(|times| median(&times[1..])).collect())
}

/// The middle of numbers, or the upper of the two in the middle; 0 of none.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_number() {
        assert_eq!([median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0]), median(&[])], [2.0, 4.0, 0.0]);
    }
}
