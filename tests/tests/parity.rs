//! The executor, tract and ONNX Runtime give the same logits, and a batch of N gives those of N singles.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use models::preprocess::Batch;
use models::resnet::{RESNET18, RESNET50};
use models::vgg::{VGG16, VGG19};
use models::{Graph, Labels, ModelSpec, Network, Preprocess, init};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{ExportOptions, engine, export};
use tests::{data, library};
use trainer::exec::Executor;

/// Classes of the built networks; few, because the last layer is no harder with more.
const CLASSES: usize = 10;

#[test]
fn resnet18() {
    agree("resnet18", &random(RESNET18.graph(224, CLASSES).unwrap()), 3);
}

#[test]
fn resnet50() {
    agree("resnet50", &random(RESNET50.graph(224, CLASSES).unwrap()), 2);
}

#[test]
fn vgg16() {
    agree("vgg16", &random(VGG16.graph(CLASSES).unwrap()), 2);
}

#[test]
fn vgg19() {
    agree("vgg19", &random(VGG19.graph(CLASSES).unwrap()), 2);
}

#[test]
fn pretrained_networks() {
    for file in ["imagenet/squeezenet1.1_imagenet.onnx", "imagenet/resnet50v2_backbone_stage3.onnx"] {
        let Some(path) = data::real(file) else { return };
        let imported = onnx::import(std::fs::read(path).unwrap()).unwrap();
        let labels = imported.graph.classifier().map(|_| numbered(1000));
        let spec = ModelSpec { labels, ..spec(224) };
        agree(file, &Network::new(imported.graph, &imported.params, spec).unwrap(), 3);
    }
}

/// With weights that leave nothing out: biases and batch-norm statistics that are not trivial.
fn random(graph: Graph) -> Network {
    let params = init::scrambled(&graph, 7);
    Network::new(graph, &params, ModelSpec { labels: Some(numbered(CLASSES)), ..spec(224) }).unwrap()
}

fn spec(side: u32) -> ModelSpec {
    let preprocess = Preprocess::torchvision(side, side);
    ModelSpec { architecture: "test".into(), labels: None, preprocess, training: None }
}

fn numbered(classes: usize) -> Labels {
    Labels::new((0..classes).map(|class| class.to_string()).collect())
}

/// The executor's logits for a batch are those for its images one by one, and every engine's are the executor's.
fn agree(name: &str, network: &Network, images: usize) {
    let _ort = library::load();
    // Normalised inputs, as these networks' first layers expect them.
    let pixels = Batch::noise(images, [3, 224, 224], 11);
    let shape = pixels.shape();
    let scaled = |pixels: &[f32]| pixels.iter().map(|pixel| pixel / 64.0 - 2.0).collect::<Vec<f32>>();
    let batch = Batch::from_raw(shape, scaled(pixels.data()));
    let singles: Vec<Batch> = (0..images)
        .map(|image| Batch::from_raw([1, shape[1], shape[2], shape[3]], batch.item(image).to_vec()))
        .collect();
    let executor = Executor::new(&network.graph, &network.params).unwrap();
    let reference = executor.forward_batch(&batch).unwrap();
    let width = reference.data().len() / images;
    for (single, row) in singles.iter().zip(reference.data().chunks(width)) {
        let alone = executor.forward_batch(single).unwrap();
        let difference = relative_difference(row, alone.data());
        // The same sums, but a matrix product adds them in another order for another number of rows.
        assert!(difference < 1e-5, "{name}: one of a batch and alone differ by {difference:.1e}");
    }
    let file = export(network, &ExportOptions::default()).unwrap();
    for kind in engine::available() {
        let mut engine = engine::open(kind, &file, 2.try_into().unwrap()).unwrap();
        let outputs = engine.run(&batch).unwrap();
        let served = outputs.first().unwrap().data().chunks(width);
        for ((single, row), served) in singles.iter().zip(reference.data().chunks(width)).zip(served) {
            let difference = relative_difference(row, served);
            assert!(difference < TOLERANCE, "{name} on {kind}: {difference:.1e} of the largest logit");
            let alone = engine.run(single).unwrap();
            let difference = relative_difference(served, alone.first().unwrap().data());
            // The same sums, though an engine may add them in another order for another batch.
            assert!(difference < 1e-5, "{name} on {kind}: one of a batch and alone differ by {difference:.1e}");
        }
    }
}
