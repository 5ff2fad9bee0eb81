//! Networks of 8-bit integers are summed exactly on every processor, those without instructions for it too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroUsize;

use models::ops::{Conv2d, Flatten, GlobalAvgPool, Linear, Relu, Shape};
use models::preprocess::{ImageBatch, Preprocess};
use models::{GraphBuilder, ModelSpec, Network, Params, Tensor};
use onnx::quantize::WeightRange;
use onnx::{EngineKind, ExportOptions, Quantizer, engine, export};
use tests::library;

const CHANNELS: usize = 16;
const SIDE: usize = 8;

/// Two convolutions and a linear layer whose weights are all 1. Of a white image every activation is the largest of its range, and
/// every sum the largest that there can be.
fn network() -> Network {
    let mut graph = GraphBuilder::new("input", Shape::image(3, SIDE, SIDE));
    let mut x = graph.push("first", Conv2d::new(3, CHANNELS, 1), &[graph.input()]).unwrap();
    x = graph.push("relu", Relu, &[x]).unwrap();
    x = graph.push("second", Conv2d::new(CHANNELS, CHANNELS, 3).padding(1), &[x]).unwrap();
    x = graph.push("rectified", Relu, &[x]).unwrap();
    x = graph.push("mean", GlobalAvgPool, &[x]).unwrap();
    x = graph.push("flatten", Flatten, &[x]).unwrap();
    let logits = graph.push("head", Linear::new(CHANNELS, 2), &[x]).unwrap();
    let graph = graph.finish(logits);
    let mut params = Params::default();
    for (name, param) in graph.nodes().iter().flat_map(models::Node::params) {
        let number = if name.ends_with("bias") { 0.0 } else { 1.0 };
        params.insert(name, Tensor::new(param.shape.clone(), vec![number; param.shape.iter().product()]));
    }
    let spec = ModelSpec::new("ones", None, Preprocess::torchvision(SIDE as u32, SIDE as u32));
    Network::new(graph, &params, spec).unwrap()
}

#[test]
fn the_largest_products_do_not_saturate() {
    if !library::load() {
        return;
    }
    let file = export(&network(), &ExportOptions::default()).unwrap();
    let white = ImageBatch::from_raw([1, 3, SIDE, SIDE], vec![255.0; 3 * SIDE * SIDE]);
    let run = |file: &[u8]| engine::open(EngineKind::Ort, file, NonZeroUsize::MIN).unwrap().run(&white).unwrap();
    let expected = run(&file).first().unwrap().data()[0];
    for range in [WeightRange::Full, WeightRange::Half] {
        let quantizer = Quantizer::new(&file).unwrap().with_weights(range);
        let mut ranges = quantizer.ranges();
        ranges.observe(&run(&quantizer.calibration_file()));
        let answer = run(&quantizer.quantize(&ranges).unwrap()).first().unwrap().data()[0];
        // Three layers of 255 steps: half a step of each. Sums that saturate lose a third to a half.
        let difference = (answer / expected - 1.0).abs();
        assert!(difference < 1.5 / 255.0, "{range:?}: {answer} in place of {expected}");
    }
}
