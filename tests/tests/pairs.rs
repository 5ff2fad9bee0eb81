//! Files of other programs give the outputs that were recorded with them, in the executor and, exported again, on every
//! engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use models::ops::Op;
use models::preprocess::ImageBatch;
use models::scores::softmax;
use models::{Labels, ModelSpec, Network, Preprocess};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{ExportOptions, engine, export};
use tests::{library, pair};
use trainer::backend::CpuExecutor;

/// The graphs of the ONNX project with constant weights. They test parsing, operators and shapes; their input is
/// `arange(n) / n`. Three are in the test data, all nine in the Python package `onnx`, whose folder `backend/test/data`
/// `ONNX_TEST_DATA` names.
#[test]
fn topologies_of_the_onnx_project() {
    let package = fixtures::Library::OnnxTestData.path().map(|folder| folder.join("light"));
    let Some(folder) = package.or_else(|| fixtures::real_data("onnx_topologies")) else { return };
    let mut pairs = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "onnx") {
            let output = path.with_file_name(format!("{}_output_0.pb", path.file_stem().unwrap().display()));
            let graph = import(&path).graph;
            let (channels, height, width) = graph.chw(graph.input()).unwrap();
            let count = channels * height * width;
            let input = (0..count).map(|index| index as f32 / count as f32).collect();
            reproduces(&path, &ImageBatch::from_raw([1, channels, height, width], input), &pair::read(&output).1);
            pairs += 1;
        }
    }
    assert!(pairs >= 3, "{pairs} topologies in {}", folder.display());
}

#[test]
fn networks_exported_by_pytorch() {
    for stem in ["cifar_resnets/resnet20_cifar10", "cifar_resnets/resnet32_cifar10", "imagenet/squeezenet1.1_imagenet"]
    {
        let Some(path) = fixtures::real_data(&format!("{stem}.onnx")) else { return };
        let folder = path.with_file_name(format!("{}_test_data_set_0", path.file_stem().unwrap().display()));
        let (dims, input) = pair::read(&folder.join("input_0.pb"));
        let batch = ImageBatch::from_raw(dims.try_into().unwrap(), input);
        reproduces(&path, &batch, &pair::read(&folder.join("output_0.pb")).1);
    }
}

fn import(path: &Path) -> onnx::ImportedModel {
    let imported = onnx::import(std::fs::read(path).unwrap());
    imported.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recorded output is the logits or their softmax, whichever the file ends in.
fn reproduces(path: &Path, input: &ImageBatch, expected: &[f32]) {
    let _ort = library::load();
    let imported = import(path);
    let name = path.file_name().unwrap().display();
    let near = |what: &str, found: &[f32]| {
        let logits = relative_difference(expected, found);
        let difference = logits.min(relative_difference(expected, &softmax(found, 1.0)));
        assert!(difference < TOLERANCE, "{name} {what}: {difference:.1e} of the largest");
    };
    let executor = CpuExecutor::new(&imported.graph, &imported.params).unwrap();
    near("in the executor", executor.infer_batch(input).unwrap().data());
    let classes = imported.graph.shape(imported.graph.output()).len();
    let labels = Some(Labels::new((0..classes).map(|class| class.to_string()).collect()));
    let preprocess = Preprocess::torchvision(32, 32);
    let spec = ModelSpec::new("test", labels, preprocess);
    let network = Network::new(imported.graph, &imported.params, spec).unwrap();
    let file = export(&network, &ExportOptions::default()).unwrap();
    for kind in engine::available() {
        let mut engine = engine::open(kind, &file, 2.try_into().unwrap()).unwrap();
        near(&format!("on {kind}"), engine.run(input).unwrap().first().unwrap().data());
    }
    // What is written is what is read again.
    let again = onnx::import(export(&network, &KEEP).unwrap()).unwrap();
    assert!(again.graph == network.graph, "{name}: the graph differs");
    assert!(again.params == network.params, "{name}: weights");
    assert!(!again.graph.nodes().iter().any(|node| matches!(node.op, Op::Softmax(_))), "{name}");
}

const KEEP: ExportOptions = ExportOptions {
    opset: 17,
    batch_norm: onnx::export::BatchNormalization::Keep,
    weights: onnx::export::WeightPrecision::F32,
    normalization: onnx::export::PixelNormalization::Inside,
};
