//! Two engines against each other.

use std::time::{Duration, Instant};

use models::preprocess::ImageBatch;
use onnx::{Engine, EngineError};

use crate::store::StoredModel;

/// How often each engine is run, at most.
const RUNS: usize = 9;
/// How long two engines are compared, if they have been run twice by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The fastest milliseconds of two engines for one image. Their runs alternate, so that both see the same machine.
pub(super) fn race(engines: [&mut dyn Engine; 2], model: &StoredModel) -> Result<[f64; 2], EngineError> {
    let size = model.spec.preprocess.output_size();
    let (height, width) = size.ok_or_else(|| EngineError::Run("the model takes images of any size".to_owned()))?;
    let image = ImageBatch::noise(1, [3, height as usize, width as usize], 0);
    let started = Instant::now();
    let mut fastest = [f64::INFINITY; 2];
    let [first, second] = engines;
    for run in 0..RUNS {
        if run >= 2 && started.elapsed() > PATIENCE {
            break;
        }
        for (engine, fastest) in [&mut *first, &mut *second].into_iter().zip(&mut fastest) {
            let started = Instant::now();
            engine.run(&image)?;
            *fastest = fastest.min(1000.0 * started.elapsed().as_secs_f64());
        }
    }
    Ok(fastest)
}
