//! The executor and every engine on one network.

use models::preprocess::ImageBatch;
use models::{Graph, Labels, ModelSpec, Network, Preprocess, init};
use onnx::parity::relative_difference;
use onnx::{EngineKind, ExportOptions, engine, export};
use trainer::backend::CpuExecutor;

/// Largest differences of any logit, relative to the largest logit of the executor.
#[derive(Debug, Clone)]
pub struct Parity {
    /// Executor: an image in a batch from the same image alone.
    pub batch: f64,
    /// One entry for each engine of the process.
    pub engines: Vec<EngineParity>,
}

/// The differences of one engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineParity {
    /// ONNX Runtime or tract.
    pub kind: EngineKind,
    /// Its logits from the executor's.
    pub executor: f64,
    /// An image in a batch from the same image alone.
    pub batch: f64,
}

/// Exports a network that takes pixels and runs it in the executor and on every engine, on `images` images of noise.
///
/// # Errors
/// Those of the exporter, the executor or an engine.
pub fn measure(network: &Network, images: usize) -> Result<Parity, Box<dyn std::error::Error>> {
    let (channels, height, width) = network.graph.chw(network.graph.input())?;
    let batch = ImageBatch::noise(images, [channels, height, width], 11);
    let singles: Vec<ImageBatch> = (0..images).map(|image| batch.single(image)).collect();
    let executor = CpuExecutor::new(&network.graph, &network.params)?;
    let reference = executor.infer_batch(&batch)?;
    let rows = |tensor: &models::Tensor| -> Vec<Vec<f32>> {
        tensor.data().chunks(tensor.data().len() / images).map(<[f32]>::to_vec).collect()
    };
    let reference = rows(&reference);
    let alone = singles.iter().map(|single| executor.infer_batch(single)).collect::<Result<Vec<_>, _>>()?;
    let largest =
        |pairs: Vec<(&[f32], &[f32])>| pairs.into_iter().map(|(a, b)| relative_difference(a, b)).fold(0.0, f64::max);
    let compare = |rows: &[Vec<f32>], others: &[models::Tensor]| {
        largest(rows.iter().zip(others).map(|(row, other)| (row.as_slice(), other.data())).collect())
    };
    let mut parity = Parity { batch: compare(&reference, &alone), engines: vec![] };
    let file = export(network, &ExportOptions::default())?;
    for kind in engine::available() {
        let mut engine = engine::open(kind, &file, 2.try_into()?)?;
        let served = rows(engine.run(&batch)?.first()?);
        let alone = singles
            .iter()
            .map(|single| Ok(engine.run(single)?.first()?.clone()))
            .collect::<Result<Vec<_>, onnx::EngineError>>()?;
        let executor = largest(reference.iter().zip(&served).map(|(a, b)| (a.as_slice(), b.as_slice())).collect());
        parity.engines.push(EngineParity { kind, executor, batch: compare(&served, &alone) });
    }
    Ok(parity)
}

/// A classifier of pixels from a graph that takes normalized ones, with random weights: biases and batch-norm statistics
/// are not trivial.
///
/// # Panics
/// When the graph does not end in classes.
#[must_use]
pub fn scrambled(graph: &Graph) -> Network {
    let classes = graph.shape(graph.output()).len();
    let labels = Labels::new((0..classes).map(|class| class.to_string()).collect());
    let side = graph.shape(graph.input()).dims().last().copied().unwrap_or_default();
    let preprocess = Preprocess::torchvision(side as u32, side as u32);
    let graph = graph.normalized(&preprocess.normalize()).unwrap_or_else(|error| panic!("{error}"));
    let spec = ModelSpec::new("test", Some(labels), preprocess);
    Network::new(graph.clone(), &init::scrambled(&graph, 7), spec).unwrap_or_else(|error| panic!("{error}"))
}
