//! Networks out to ONNX and back, and files that cannot be read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use models::graph::Classifier;
use models::ops::{
    Add, AvgPool, BatchNorm, Concat, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool, Normalize, Op, Padding,
    Relu, Shape, Window,
};
use models::preprocess::ImageBatch;
use models::{Graph, GraphBuilder, Labels, ModelSpec, Network, Params, Preprocess, init, zoo};
use onnx::export::{BatchNormalization, PixelNormalization, WeightPrecision};
use onnx::parity::relative_difference;
use onnx::{EngineKind, ExportError, ExportOptions, FileError, ImportError, engine, export, import};

/// A ResNet-18 on small images with weights that are not trivial.
fn network() -> Network {
    build(&zoo_graph("resnet18"))
}

fn zoo_graph(name: &str) -> Graph {
    zoo::find(name).unwrap().graph([64; 2], 4).unwrap()
}

fn build(graph: &Graph) -> Network {
    let graph = graph.normalized(&spec().preprocess.normalize()).unwrap();
    Network::new(graph.clone(), &init::scrambled(&graph, 1), spec()).unwrap()
}

fn spec() -> ModelSpec {
    let labels = ["rose", "lily valley", "colts' foot", "iris"].map(str::to_owned).to_vec();
    let preprocess = Preprocess::torchvision(64, 64);
    ModelSpec::new("resnet", Some(Labels::new(labels)), preprocess)
}

const KEEP: ExportOptions = ExportOptions {
    opset: 17,
    batch_norm: BatchNormalization::Keep,
    weights: WeightPrecision::F32,
    normalization: PixelNormalization::Inside,
};

#[test]
fn what_is_exported_is_imported_again_node_for_node_and_bit_for_bit() {
    for network in [small(), network(), build(&zoo_graph("resnet50"))] {
        let imported = import(export(&network, &KEEP).unwrap()).unwrap();
        assert_eq!(imported.graph, network.graph);
        assert_eq!(imported.params, network.params);
        assert_eq!(imported.spec, Some(network.spec));
    }
}

/// Half of the networks have a hundred million weights in their linear layers; all are tested up to the last convolution.
#[test]
fn every_architecture_comes_back_from_its_file() {
    for row in zoo::all() {
        let graph = row.graph(row.input(), row.classes()).unwrap();
        let last = graph.iter().rfind(|(_, node)| matches!(node.op, Op::Conv2d(_))).unwrap().0;
        let light = graph.counts().parameters < 50_000_000;
        let graph = if light { graph } else { graph.prefix(last) };
        let spec = ModelSpec { labels: None, ..spec() };
        let network = Network::new(graph.clone(), &init::scrambled(&graph, 1), spec).unwrap();
        let imported = import(export(&network, &KEEP).unwrap()).unwrap();
        assert!(imported.graph == network.graph, "{}", row.name());
        assert!(imported.params == network.params, "{}", row.name());
    }
}

#[test]
fn half_precision_rounds_once() {
    let network = network();
    let half = ExportOptions { weights: WeightPrecision::Half, ..KEEP };
    let once = export(&network, &half).unwrap();
    let imported = import(once.clone()).unwrap();
    assert_eq!(imported.graph, network.graph);
    let again = Network::new(imported.graph, &imported.params, network.spec.clone()).unwrap();
    assert!(export(&again, &half).unwrap() == once);
    for (name, tensor) in network.params.iter() {
        // Half precision keeps 11 bits: the rounding is at most half of the last.
        let difference = relative_difference(tensor.data(), imported.params.get(name).unwrap().data());
        assert!(difference <= 1.0 / 2048.0, "{name}: {difference:.1e}");
    }
}

#[test]
fn eight_bits_round_to_the_nearest_step_of_each_output() {
    let network = network();
    let int8 = ExportOptions { weights: WeightPrecision::Int8, ..KEEP };
    let file = export(&network, &int8).unwrap();
    let whole = export(&network, &KEEP).unwrap();
    // A quarter of the weights' bytes, and nodes and names that are the same.
    assert!(file.len() * 2 < whole.len(), "{} {}", file.len(), whole.len());
    let imported = import(file).unwrap();
    assert_eq!(imported.graph, network.graph);
    for (name, tensor) in network.params.iter() {
        let back = imported.params.get(name).unwrap();
        if tensor.shape().len() < 2 {
            assert_eq!(back, tensor, "{name}");
            continue;
        }
        let row = tensor.data().len() / tensor.shape()[0];
        for (ours, theirs) in tensor.data().chunks(row).zip(back.data().chunks(row)) {
            // Half a step of 127, and the rounding of quotient and product in f32.
            let bound = ours.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs())) / 253.9;
            assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= bound), "{name}");
        }
    }
}

#[test]
fn a_network_that_was_written_without_its_normalization_has_it_again() {
    let network = network();
    let outside = ExportOptions { normalization: PixelNormalization::Outside, ..KEEP };
    let imported = import(export(&network, &outside).unwrap()).unwrap();
    assert_eq!(imported.graph, network.graph);
    assert_eq!(imported.params, network.params);
}

#[test]
fn every_opset_in_range_is_written_and_no_other() {
    let network = small();
    for opset in 13..=20 {
        let imported = import(export(&network, &ExportOptions { opset, ..KEEP }).unwrap()).unwrap();
        assert_eq!(imported.graph, network.graph, "opset {opset}");
    }
    for opset in [12, 21] {
        assert!(matches!(export(&network, &ExportOptions { opset, ..KEEP }), Err(ExportError::Opset(_))), "{opset}");
    }
}

#[test]
fn folding_removes_every_batch_norm_and_changes_no_answer() {
    let network = network();
    let [folded, kept] = [BatchNormalization::Fold, BatchNormalization::Keep]
        .map(|batch_norm| export(&network, &ExportOptions { batch_norm, ..KEEP }).unwrap());
    let norms = |file: &[u8]| {
        let graph = import(file.to_vec()).unwrap().graph;
        graph.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm(_))).count()
    };
    assert_eq!([norms(&folded), norms(&kept)], [0, 20]);
    let batch = ImageBatch::noise(2, [3, 64, 64], 3);
    let threads = 1.try_into().unwrap();
    let [folded, kept] = [folded, kept].map(|file| {
        engine::open(EngineKind::Tract, &file, threads).unwrap().run(&batch).unwrap().first().unwrap().clone()
    });
    // f32 sums in another order; a wrong fold is off by far more.
    assert!(relative_difference(kept.data(), folded.data()) < 1e-5);
}

#[test]
fn initializers_keep_the_names_of_the_state_dict() {
    let imported = import(export(&network(), &ExportOptions::default()).unwrap()).unwrap();
    for name in ["conv1.weight", "conv1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.0.bias", "fc.weight"] {
        assert!(imported.params.get(name).is_some(), "{name}");
    }
}

#[test]
fn a_classifier_has_logits_and_their_softmax_a_backbone_has_features() {
    let network = network();
    let run = |network: &Network| {
        let file = export(network, &ExportOptions::default()).unwrap();
        let mut engine = engine::open(EngineKind::Tract, &file, 2.try_into().unwrap()).unwrap();
        engine.run(&ImageBatch::noise(3, [3, 64, 64], 0)).unwrap()
    };
    let outputs = run(&network);
    let (logits, scores) = (outputs.get("logits").unwrap(), outputs.get("probabilities").unwrap());
    assert_eq!([logits.shape(), scores.shape()], [[3, 4]; 2]);
    for (logits, scores) in logits.data().chunks(4).zip(scores.data().chunks(4)) {
        for (score, expected) in scores.iter().zip(models::scores::softmax(logits, 1.0)) {
            // exp in f32 against exp in f64.
            assert!((score - expected).abs() < 1e-6, "{score} {expected}");
        }
    }
    let Some(Classifier::Linear(head)) = network.graph.classifier() else { panic!("a linear classifier") };
    let graph = network.graph.prefix(network.graph.node(head).inputs[0]);
    let spec = ModelSpec { labels: None, ..network.spec.clone() };
    let outputs = run(&Network::new(graph, &network.params, spec).unwrap());
    assert_eq!(outputs.first().unwrap().shape(), [3, 512]);
    assert!(outputs.get("features").is_some() && outputs.get("probabilities").is_none());
}

#[test]
fn labels_must_be_as_many_as_logits() {
    let mut network = network();
    network.spec.labels = Some(Labels::new(vec!["only one".to_owned()]));
    assert!(matches!(export(&network, &KEEP), Err(ExportError::Labels { labels: 1, .. })));
}

#[test]
fn files_that_are_no_models_are_refused_without_a_panic() {
    let file = export(&network(), &KEEP).unwrap();
    assert!(matches!(import(Vec::new()), Err(ImportError::File(FileError::NoGraph))));
    let foreign = import(b"GIF89a, or anything else".to_vec());
    assert!(matches!(foreign, Err(ImportError::File(FileError::Decode))));
    // Wherever the file is cut off.
    for length in (0..file.len()).step_by(file.len() / 97) {
        let error = import(file[..length].to_vec()).expect_err("a cut file");
        assert!(matches!(error, ImportError::File(_)), "cut to {length} of {} bytes: {error}", file.len());
    }
}

#[test]
fn a_file_that_asks_for_more_memory_than_there_is_is_refused() {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let everywhere = Window { padding: Padding::all(1 << 15), ..Window::new(1, 1) };
    let x = graph.push("pool", MaxPool(everywhere), &[graph.input()]).unwrap();
    let graph = graph.finish(x);
    let spec = ModelSpec { labels: None, ..spec() };
    let file = export(&Network::new(graph, &Params::default(), spec).unwrap(), &KEEP).unwrap();
    let error = import(file).unwrap_err().to_string();
    assert!(error.contains("pool") && error.contains("too large"), "{error}");
}

#[test]
fn a_network_without_a_layer_is_written_and_read() {
    let graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let empty = graph.clone().finish(graph.input());
    let spec = ModelSpec { labels: None, ..spec() };
    let file = export(&Network::new(empty.clone(), &Params::default(), spec.clone()).unwrap(), &KEEP).unwrap();
    assert_eq!(import(file).unwrap().graph, empty);
    let mut graph = graph;
    let x = graph.push("dropout", Dropout { p: 0.5 }, &[graph.input()]).unwrap();
    let network = Network::new(graph.finish(x), &Params::default(), spec).unwrap();
    let folded = export(&network, &ExportOptions { batch_norm: BatchNormalization::Fold, ..KEEP }).unwrap();
    assert_eq!(import(folded).unwrap().graph, empty);
}

#[test]
fn a_step_of_a_node_has_a_name_that_no_other_node_has() {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let x = graph.push("x", Normalize::for_bytes(&[0.5; 3], &[0.5; 3]), &[graph.input()]).unwrap();
    let x = graph.push("x.Sub", Relu, &[x]).unwrap();
    let graph = graph.finish(x);
    let spec = ModelSpec { labels: None, ..spec() };
    let file = export(&Network::new(graph.clone(), &Params::default(), spec).unwrap(), &KEEP).unwrap();
    assert_eq!(import(file).unwrap().graph, graph);
}

#[test]
fn a_damaged_file_is_an_error_or_a_network_but_never_a_panic() {
    let file = export(&small(), &KEEP).unwrap();
    for at in 0..file.len() {
        for flip in [0x01, 0x15, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            drop(import(damaged));
        }
    }
}

/// A few kilobytes with one of each kind of node.
fn small() -> Network {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let x = graph.push("normalize", Normalize::for_bytes(&[0.5; 3], &[0.5; 3]), &[graph.input()]).unwrap();
    let x = graph.push("conv1", Conv2d::new(3, 4, 3).padding(1).without_bias(), &[x]).unwrap();
    let x = graph.push("bn1", BatchNorm::new(4), &[x]).unwrap();
    let x = graph.push("relu", Relu, &[x]).unwrap();
    let y = graph.push("pool", MaxPool(Window::new(3, 1).padding(1)), &[x]).unwrap();
    let window = Window { ceil: true, ..Window::new(3, 1).padding(1) };
    let z = graph.push("mean", AvgPool { window, count_padding: true }, &[x]).unwrap();
    let x = graph.push("add", Add, &[x, y, z]).unwrap();
    let x = graph.push("concat", Concat, &[x, y]).unwrap();
    let x = graph.push("avgpool", GlobalAvgPool, &[x]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    let x = graph.push("fc", Linear::new(8, 4), &[x]).unwrap();
    let graph = graph.finish(x);
    Network::new(graph.clone(), &init::scrambled(&graph, 2), spec()).unwrap()
}
