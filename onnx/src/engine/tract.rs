//! tract, compiled in.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use models::Tensor;
use models::preprocess::ImageBatch;
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, Tensor as Array, TractError,
    TractResult, TypedRunnableModel, tvec,
};
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::{Engine, EngineError, EngineKind, EngineSet, Outputs};

/// A model in tract, compiled for batches of one.
///
/// tract is slower per image in larger batches, and a symbolic batch costs another fifth, so the images of a batch run
/// one by one on as many threads as there are; a single image has all threads for its matrix products.
pub(super) struct TractEngine {
    plan: Arc<TypedRunnableModel>,
    outputs: Vec<String>,
    executor: Executor,
    threads: usize,
}

impl TractEngine {
    pub(super) fn open(file: &[u8], threads: NonZeroUsize) -> Result<Self, EngineError> {
        let (plan, outputs) =
            compile(file).map_err(|error| EngineError::open(EngineKind::Tract, format!("{error:#}")))?;
        let threads = threads.get();
        Ok(Self { plan, outputs, executor: executor(threads), threads })
    }

    /// An engine with all threads for an image that is alone, and one with a single thread for each of them, of one plan.
    pub(super) fn open_set(file: &[u8], threads: NonZeroUsize) -> Result<EngineSet, EngineError> {
        let wide = Self::open(file, threads)?;
        let narrow = || -> Box<dyn Engine> {
            let (plan, outputs) = (wide.plan.clone(), wide.outputs.clone());
            Box::new(Self { plan, outputs, executor: executor(1), threads: 1 })
        };
        let narrow = (0..threads.get()).map(|_| narrow()).collect();
        Ok(EngineSet { wide: Box::new(wide), narrow, obstacle: None })
    }

    /// The outputs for one image `[c, h, w]`.
    fn run_one(&self, shape: [usize; 3], image: &[f32]) -> TractResult<Vec<Vec<f32>>> {
        let [c, h, w] = shape;
        let input = Array::from_shape(&[1, c, h, w], image)?;
        let values = self.plan.run(tvec!(input.into_tvalue()))?;
        values.iter().map(|value| Ok(value.to_plain_array_view::<f32>()?.iter().copied().collect())).collect()
    }
}

/// Models share the threads for their matrix products, so that a hundred models do not mean a hundred pools.
fn executor(threads: usize) -> Executor {
    static POOLS: Mutex<BTreeMap<usize, Executor>> = Mutex::new(BTreeMap::new());
    if threads == 1 {
        return Executor::SingleThread;
    }
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.entry(threads).or_insert_with(|| Executor::multithread(threads)).clone()
}

/// Reads the file with its batch fixed to one.
fn compile(file: &[u8]) -> TractResult<(Arc<TypedRunnableModel>, Vec<String>)> {
    // The shapes in the file have a symbolic batch, which cannot be unified with the one that is fixed here.
    let reader = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let mut model = reader.model_for_read(&mut Cursor::new(file))?;
    // It does open them: a static quantisation of two convolutions then differed by 2.4 of the largest logit from ONNX
    // Runtime, which the reference implementation bears out.
    if model.nodes.iter().any(|node| node.op.name().contains("QuantizeLinear")) {
        return Err(TractError::msg("tract computes quantised networks wrongly; use ONNX Runtime"));
    }
    let fact = model.input_fact(0)?;
    let dims = fact.shape.dims().skip(1).map(Factoid::concretize).map(|dim| dim.and_then(|dim| dim.to_usize().ok()));
    let Some(dims) = dims.collect::<Option<Vec<usize>>>() else {
        return Err(TractError::msg("the input's height and width are not fixed"));
    };
    let shape: Vec<usize> = std::iter::once(1).chain(dims).collect();
    let input = InferenceFact::dt_shape(f32::datum_type(), shape);
    model.set_input_fact(0, input)?;
    let outlets = model.output_outlets()?.to_vec();
    let names = outlets
        .iter()
        .map(|&outlet| model.outlet_label(outlet).unwrap_or(&model.node(outlet.node).name).to_owned())
        .collect();
    Ok((model.into_optimized()?.into_runnable()?, names))
}

impl Engine for TractEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Tract
    }

    fn run(&mut self, batch: &ImageBatch) -> Result<Outputs, EngineError> {
        let [n, c, h, w] = batch.shape();
        let run = |image: usize| {
            self.run_one([c, h, w], batch.item(image)).map_err(|error| EngineError::run(format!("{error:#}")))
        };
        let images = if n == 1 {
            vec![multithread_tract_scope(self.executor.clone(), || run(0))]
        } else {
            let share = n.div_ceil(self.threads);
            let chunks: Vec<_> = (0..n).step_by(share).map(|first| first..(first + share).min(n)).collect();
            std::thread::scope(|scope| {
                let run = &run;
                let threads: Vec<_> =
                    chunks.into_iter().map(|chunk| scope.spawn(move || chunk.map(run).collect::<Vec<_>>())).collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| vec![Err(panicked())])).collect()
            })
        };
        let images = images.into_iter().collect::<Result<Vec<_>, _>>()?;
        let outputs = self.outputs.iter().enumerate().map(|(output, name)| {
            let data: Vec<f32> = images.iter().flat_map(|image| image[output].iter().copied()).collect();
            (name.clone(), Tensor::new([n, data.len() / n], data))
        });
        Ok(Outputs(outputs.collect()))
    }
}

fn panicked() -> EngineError {
    EngineError::run("tract panicked")
}
