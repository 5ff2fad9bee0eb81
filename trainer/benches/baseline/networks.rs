//! Training steps of networks that consist of little but one kind of layer.

use anyhow::Result;
use models::ops::{Activation, Add, BatchNorm, Conv2d, MaxPool, Relu, Shape, Window};
use models::{Graph, GraphBuilder, GraphError, NodeId, init};
use trainer::backend::{ComputeBackend, ExecutorSpec};

use super::measures::Measure;
use super::yardsticks::Yardstick;

const CHANNELS: usize = 64;
const SIDE: usize = 28;
const IMAGES: usize = 4;

/// Adds the layers.
type Layers = fn(&mut GraphBuilder, NodeId) -> Result<NodeId, GraphError>;

const LAYERS: [(&str, Layers); 5] = [
    ("dense", |builder, input| builder.push("conv", Conv2d::new(CHANNELS, CHANNELS, 3).padding(1), &[input])),
    ("depthwise", |builder, input| {
        let layer = || Conv2d::new(CHANNELS, CHANNELS, 3).padding(1).groups(CHANNELS).without_bias();
        let first = builder.push("first", layer(), &[input])?;
        builder.push("second", layer(), &[first])
    }),
    ("norm", |builder, input| {
        let norm = builder.push("norm", BatchNorm::new(CHANNELS), &[input])?;
        let relu = builder.push("relu", Relu, &[norm])?;
        let second = builder.push("second", BatchNorm::new(CHANNELS), &[relu])?;
        let sum = builder.push("sum", Add, &[second, input])?;
        builder.push("last", Relu, &[sum])
    }),
    ("activation", |builder, input| {
        let clip = builder.push("clip", Activation::Clip { min: 0.0, max: 6.0 }, &[input])?;
        builder.push("swish", Activation::HardSwish, &[clip])
    }),
    ("pool", |builder, input| builder.push("pool", MaxPool(Window::new(3, 2)), &[input])),
];

/// A forward and a backward pass of each.
pub(crate) fn training() -> Result<Vec<Measure>> {
    LAYERS.iter().map(|&(name, layers)| measure(name, layers)).collect()
}

fn measure(name: &'static str, layers: Layers) -> Result<Measure> {
    let graph = graph(layers)?;
    let params = init::he(&graph, 0);
    let spec = ExecutorSpec { graph: &graph, params: &params, trains: &|_| true, update: None };
    let mut executor = ComputeBackend::Rust.open(&spec)?;
    let numbers = |count: usize| (0..count).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect::<Vec<_>>();
    let images = numbers(IMAGES * 3 * SIDE * SIDE);
    let gradient = numbers(IMAGES * executor.outputs());
    let run = move || {
        executor.forward_train(&images, 0)?;
        executor.backward(&gradient)?;
        Ok(())
    };
    Ok(Measure { name, yardstick: Yardstick::Product, run: Box::new(run) })
}

/// The layers behind a small convolution, so that they have to compute a gradient of their input.
fn graph(layers: Layers) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new("input", Shape::image(3, SIDE, SIDE));
    let stem = builder.push("stem", Conv2d::new(3, CHANNELS, 1), &[builder.input()])?;
    let last = layers(&mut builder, stem)?;
    Ok(builder.finish(last))
}
