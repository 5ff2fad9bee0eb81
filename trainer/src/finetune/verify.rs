//! The exported file against the trained network.

use models::Network;
use models::preprocess::{ImageBatch, PreparedImage};
use models::scores::top_k;
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{EngineKind, engine};
use rayon::prelude::*;

use super::extract::decode;
use super::{Base, FinetuneError, Task};
use crate::backend::CpuExecutor;
use crate::data::Sample;
use crate::events::{Event, Observer, Phase};
use crate::finetune::report::Parity;

/// Images compared at a time.
const CHUNK: usize = 16;
/// Images for which the whole network is also run by the executor, which is slower than the engines.
const EXECUTED: usize = 16;

/// Runs the file over the validation images on every engine of this process. The reference is what was trained: the
/// head on the cached features, and for some images the whole network in the executor. A file that graft cannot take apart
/// is run on the engine that computed the features: it may be that no other can.
pub(super) fn parity(
    task: &Task<'_>,
    network: &Network,
    file: &[u8],
    (samples, logits): (&[&Sample], &[f32]),
    observer: &mut dyn Observer,
) -> Result<Vec<Parity>, FinetuneError> {
    let classes = logits.len() / samples.len();
    let (executor, kinds) = match task.base {
        Base::Network(_) => (Some(CpuExecutor::new(&network.graph, &network.params)?), engine::available()),
        Base::File(_) => (None, vec![task.engine]),
    };
    let mut engines = kinds
        .into_iter()
        .map(|kind| Ok((engine::open(kind, file, task.threads)?, Parity { engine: kind, images: 0, difference: 0.0 })))
        .collect::<Result<Vec<_>, FinetuneError>>()?;
    for (number, chunk) in samples.chunks(CHUNK).enumerate() {
        let first = number * CHUNK;
        let inputs: Vec<PreparedImage> =
            chunk.par_iter().map(|sample| decode(task, sample)).collect::<Result<_, _>>()?;
        let batch = ImageBatch::stack(&inputs).map_err(|error| onnx::EngineError::Run(error.to_string()))?;
        let trained = &logits[first * classes..][..chunk.len() * classes];
        let executor = executor.as_ref().filter(|_| first < EXECUTED);
        let executed = executor.map(|executor| executor.infer_batch(&batch)).transpose()?;
        for (engine, parity) in &mut engines {
            let outputs = engine.run(&batch)?;
            let served = outputs.first()?.data();
            for reference in std::iter::once(trained).chain(executed.as_ref().map(models::Tensor::data)) {
                compare(parity, chunk, (reference, served), classes)?;
            }
            parity.images += chunk.len();
        }
        if observer.stopped() {
            return Err(FinetuneError::Stopped);
        }
        let done = (first + chunk.len()) as u64;
        observer.event(Event::Progress { phase: Phase::Parity, done, total: samples.len() as u64 });
    }
    Ok(engines.into_iter().map(|(_, parity)| parity).collect())
}

/// Same top-1 for every image, unless the two classes are nearer to each other than the tolerance, and logits within it.
fn compare(
    parity: &mut Parity,
    samples: &[&Sample],
    (reference, served): (&[f32], &[f32]),
    classes: usize,
) -> Result<(), FinetuneError> {
    for ((sample, reference), served) in samples.iter().zip(reference.chunks(classes)).zip(served.chunks(classes)) {
        let difference = relative_difference(reference, served);
        if difference > TOLERANCE {
            let reason = format!(
                "the logits of {} differ by {difference:.1e} of the largest, more than {TOLERANCE:.0e}",
                sample.path.display()
            );
            return Err(failed(parity.engine, reason));
        }
        let [ours, theirs] = [top_k(reference, 1)[0], top_k(served, 1)[0]];
        let largest = f64::from(reference[ours].abs().max(f32::MIN_POSITIVE));
        if ours != theirs && f64::from(reference[ours] - reference[theirs]) / largest > TOLERANCE {
            let reason = format!("{} is class {ours} for the trainer, {theirs} for the engine", sample.path.display());
            return Err(failed(parity.engine, reason));
        }
        parity.difference = parity.difference.max(difference);
    }
    Ok(())
}

fn failed(engine: EngineKind, reason: String) -> FinetuneError {
    FinetuneError::Parity { engine, reason }
}
