//! Stage 6: the exported file against the trained network, on every engine of this process.

use models::preprocess::{ImageBatch, PreparedImage};
use onnx::parity::{TOLERANCE, agree};
use onnx::{EngineKind, Provider, engine};
use rayon::prelude::*;

use super::export::Export;
use super::extract::FeatureTable;
use super::image::decode;
use super::outcome::Outcome;
use super::report::Parity;
use super::stage::Progress;
use super::{Base, FinetuneError, Task};
use crate::backend::CpuExecutor;
use crate::data::Sample;
use crate::events::{Observer, Phase};

/// On how many images the file is compared, at most: a wrong file shows in some of them, and more only take time.
const COMPARED: usize = 128;
/// Images compared at a time.
const CHUNK: usize = 16;
/// Images for which the executor also runs the whole network, which is slower than the engines.
const EXECUTED: usize = 16;

/// Runs the file over validation images, or test images where there are none. The reference is what was trained: the logits
/// that training measured, and for some images the whole network in the executor. An opaque file is run on the engine
/// that computed the features: it may be that no other can. A provider that computed features has no part in it: what is published
/// agrees with each engine's own kernels.
pub(super) fn verify(
    task: &Task<'_>,
    export: &Export,
    references: &References<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Parity>, FinetuneError> {
    compare_all(task, export, references, observer).map_err(|error| match (error, task.engine.provider) {
        (error, Provider::Cpu) => error,
        (FinetuneError::Parity { engine, reason }, provider) => {
            let reason = format!("{reason} (the features are {}'s; try --provider cpu)", provider.title());
            FinetuneError::Parity { engine, reason }
        }
        (error, _) => error,
    })
}

fn compare_all(
    task: &Task<'_>,
    export: &Export,
    references: &References<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Parity>, FinetuneError> {
    let (executor, kinds) = match task.base {
        Base::Network(_) => {
            (Some(CpuExecutor::new(&export.network.graph, &export.network.params)?), engine::available())
        }
        Base::File(_) => (None, vec![task.engine.kind]),
    };
    let open = |kind| {
        let engine = engine::open(kind, &export.file, task.engine.threads)?;
        Ok((engine, Parity { engine: kind, images: 0, difference: 0.0 }))
    };
    let mut engines = kinds.into_iter().map(open).collect::<Result<Vec<_>, FinetuneError>>()?;
    for (number, references) in references.chunks().enumerate() {
        let inputs: Vec<PreparedImage> =
            references.samples.par_iter().map(|sample| decode(task, sample)).collect::<Result<_, _>>()?;
        let batch = ImageBatch::stack(&inputs).map_err(|error| onnx::EngineError::Run(error.to_string()))?;
        let executor = executor.as_ref().filter(|_| number * CHUNK < EXECUTED);
        let computed = executor.map(|executor| executor.infer_batch(&batch)).transpose()?;
        for (engine, parity) in &mut engines {
            let outputs = engine.run(&batch)?;
            let served = outputs.first()?.data();
            references.compare(served, parity)?;
            if let Some(computed) = &computed {
                References { logits: computed.data().to_vec(), ..references.clone() }.compare(served, parity)?;
            }
            parity.images += references.samples.len();
        }
        let done = (number * CHUNK + CHUNK).min(references.total);
        Progress { phase: Phase::Parity, done, total: references.total }.report(observer)?;
    }
    Ok(engines.into_iter().map(|(_, parity)| parity).collect())
}

/// Images with the logits that the file must give for them.
#[derive(Clone)]
pub(super) struct References<'a> {
    samples: Vec<&'a Sample>,
    /// `[n, classes]`.
    logits: Vec<f32>,
    classes: usize,
    /// The difference of a logit that is noise of the features.
    noise: f64,
    /// How many images there are in all chunks.
    total: usize,
}

impl<'a> References<'a> {
    /// Validation images, or test images where there are none, spread over all of them.
    pub(super) fn new(table: &FeatureTable<'a>, outcome: &Outcome) -> Self {
        let (rows, result) = match table.split.validation.is_empty() {
            true => (&table.split.test, &outcome.test),
            false => (&table.split.validation, &outcome.validation),
        };
        let classes = result.logits.len() / rows.len().max(1);
        let step = rows.len().div_ceil(COMPARED).max(1);
        let samples: Vec<&Sample> = rows.iter().step_by(step).map(|&row| &table.samples[row].sample).collect();
        let logits = result.logits.chunks(classes.max(1)).step_by(step).flatten().copied().collect();
        Self { total: samples.len(), samples, logits, classes, noise: outcome.noise() }
    }

    fn chunks(&self) -> impl Iterator<Item = Self> {
        let logits = self.logits.chunks((CHUNK * self.classes).max(1));
        self.samples.chunks(CHUNK).zip(logits).map(|(samples, logits)| Self {
            samples: samples.to_vec(),
            logits: logits.to_vec(),
            ..*self
        })
    }

    /// Logits within the tolerance. The top class needs no comparison of its own: logits this close swap only classes that
    /// the trainer's logits do not tell apart either.
    fn compare(&self, served: &[f32], parity: &mut Parity) -> Result<(), FinetuneError> {
        let rows = self.logits.chunks(self.classes).zip(served.chunks(self.classes));
        for (sample, (reference, served)) in self.samples.iter().zip(rows) {
            let (agree, difference) = agree(reference, served, self.noise);
            if !agree {
                let reason = format!(
                    "the logits of {} differ by {difference:.1e} of the largest, more than {TOLERANCE:.0e}",
                    sample.path.display()
                );
                return Err(failed(parity.engine, reason));
            }
            parity.difference = parity.difference.max(difference);
        }
        Ok(())
    }
}

fn failed(engine: EngineKind, reason: String) -> FinetuneError {
    FinetuneError::Parity { engine, reason }
}
