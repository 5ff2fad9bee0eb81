//! The executor, tract and ONNX Runtime give the same logits, and a batch of N gives those of N singles. All networks are
//! compared by `just parity`, which writes the table in `onnx/README.md`; here are those that differ in kind.

use models::preprocess::ImageBatch;
use models::{Labels, ModelSpec, Network, Preprocess, Tensor, zoo};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{EngineSet, engine};
use tests::{library, parity};
use trainer::backend::CpuExecutor;

/// One of each way in which the tables differ, at a size where nothing divides evenly where the network allows it.
const NETWORKS: [(&str, [usize; 2]); 13] = [
    ("vgg11_lrn", [96, 130]),
    ("vgg11_bn", [224, 224]),
    ("vgg16_c", [32, 32]),
    ("vgg19", [64, 64]),
    ("resnet18", [97, 65]),
    ("resnet50", [224, 224]),
    ("resnet50_v1", [97, 65]),
    ("resnet20_cifar", [33, 31]),
    ("preact_resnet110_cifar", [32, 32]),
    ("preact_resnet164_cifar", [33, 31]),
    ("tflearn_resnet32", [33, 31]),
    ("tflearn_resnet32_mean", [33, 30]),
    ("starter", [64, 64]),
];

#[test]
fn networks_of_the_tables() {
    for (name, input) in NETWORKS {
        let graph = zoo::find(name).unwrap().graph(input, 10).unwrap();
        agree(name, &parity::scrambled(&graph), 2);
    }
}

#[test]
fn pretrained_networks() {
    for file in ["imagenet/squeezenet1.1_imagenet.onnx", "imagenet/resnet50v2_backbone_stage3.onnx"] {
        let Some(path) = fixtures::real_data(file) else { return };
        let imported = onnx::import(std::fs::read(path).unwrap()).unwrap();
        let labels = imported.graph.classifier().map(|_| Labels::new((0..1000).map(|c| c.to_string()).collect()));
        let preprocess = Preprocess::torchvision(224, 224);
        let spec = ModelSpec::new("test", labels, preprocess);
        let graph = imported.graph.normalized(&spec.preprocess.normalize()).unwrap();
        agree(file, &Network::new(graph, &imported.params, spec).unwrap(), 3);
    }
}

#[test]
fn engines_that_share_weights_answer_alike_at_the_same_time() {
    let _ort = library::load();
    let graph = zoo::find("resnet18").unwrap().graph([64; 2], 10).unwrap();
    let network = parity::scrambled(&graph);
    let images: Vec<ImageBatch> = (0..4).map(|seed| ImageBatch::noise(1, [3, 64, 64], seed)).collect();
    let executor = CpuExecutor::new(&network.graph, &network.params).unwrap();
    let expected: Vec<Tensor> = images.iter().map(|image| executor.infer_batch(image).unwrap()).collect();
    let file = onnx::export(&network, &onnx::ExportOptions::default()).unwrap();
    for kind in engine::available() {
        let EngineSet { wide, narrow, obstacle } = engine::open_set(kind, &file, 3.try_into().unwrap()).unwrap();
        assert_eq!((narrow.len(), obstacle), (3, None));
        std::thread::scope(|scope| {
            for mut engine in narrow.into_iter().chain([wide]) {
                let (images, expected) = (&images, &expected);
                scope.spawn(move || {
                    for (image, expected) in images.iter().zip(expected) {
                        let outputs = engine.run(image).unwrap();
                        let difference = relative_difference(expected.data(), outputs.first().unwrap().data());
                        assert!(difference < TOLERANCE, "{kind}: {difference:.1e} of the largest logit");
                    }
                });
            }
        });
    }
}

/// The executor's logits for a batch are those for its images one by one, and every engine's are the executor's.
fn agree(name: &str, network: &Network, images: usize) {
    let _ort = library::load();
    let parity = parity::measure(network, images).unwrap_or_else(|error| panic!("{name}: {error}"));
    // The same sums, but a matrix product adds them in another order for another number of rows.
    const ALONE: f64 = 1e-5;
    assert!(parity.batch < ALONE, "{name}: one of a batch and alone differ by {:.1e}", parity.batch);
    for engine in parity.engines {
        assert!(engine.executor < TOLERANCE, "{name} on {}: {:.1e} of the largest logit", engine.kind, engine.executor);
        assert!(engine.batch < ALONE, "{name} on {}: one of a batch and alone {:.1e}", engine.kind, engine.batch);
    }
}
