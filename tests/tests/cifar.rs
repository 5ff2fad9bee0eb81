//! The pretrained CIFAR-10 networks, from PyTorch's own files, make as many mistakes on the lossless test images as PyTorch
//! makes with them.

use models::preprocess::ImageBatch;
use models::{Labels, ModelSpec, Network, Preprocess, weights, zoo};
use onnx::{ExportOptions, engine, export};
use tests::library;
use trainer::backend::CpuExecutor;

/// Bytes of an image, and of a record: its class and the image.
const IMAGE: usize = 3 * 32 * 32;
const RECORD: usize = 1 + IMAGE;
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Images run at a time.
const BATCH: usize = 50;

#[test]
fn pretrained_networks_err_as_often_as_in_pytorch() {
    // Mistakes of PyTorch on the first thousand test images: the known good figures of the test data.
    for (file, name, mistakes) in
        [("resnet20-12fca82f.th", "resnet20_cifar", 85), ("resnet32-d509ac18.th", "resnet32_cifar", 72)]
    {
        let (Some(file), Some(images)) = (
            fixtures::real_data(&format!("cifar_resnets/{file}")),
            fixtures::real_data("cifar10/cifar-10-batches-bin/test_batch.bin"),
        ) else {
            return;
        };
        let _ort = library::load();
        let state = weights::read(std::fs::read(file).unwrap()).unwrap();
        let graph = zoo::find(name).unwrap().graph([32, 32], 10).unwrap();
        let params = weights::fit(&graph, &state).unwrap().params;
        let preprocess = Preprocess { mean: MEAN, std: STD, ..Preprocess::torchvision(32, 32) };
        let graph = graph.normalized(&preprocess.normalize()).unwrap();
        let labels = Labels::new((0..10).map(|class| class.to_string()).collect());
        let spec = ModelSpec::new(name, Some(labels), preprocess);
        let network = Network::new(graph, &params, spec).unwrap();
        let records = std::fs::read(images).unwrap();
        let executor = CpuExecutor::new(&network.graph, &network.params).unwrap();
        let actual = errors(&records, |batch| executor.infer_batch(batch).unwrap().data().to_vec());
        assert_eq!(actual, mistakes, "{name} in the executor");
        let file = export(&network, &ExportOptions::default()).unwrap();
        for kind in engine::available() {
            let mut engine = engine::open(kind, &file, 2.try_into().unwrap()).unwrap();
            let actual = errors(&records, |batch| engine.run(batch).unwrap().first().unwrap().data().to_vec());
            assert_eq!(actual, mistakes, "{name} on {kind}");
        }
    }
}

/// How many of the first thousand images get another class than theirs.
fn errors(records: &[u8], mut logits: impl FnMut(&ImageBatch) -> Vec<f32>) -> usize {
    let records: Vec<&[u8]> = records.chunks_exact(RECORD).take(1000).collect();
    assert_eq!(records.len(), 1000);
    let wrong = records.chunks(BATCH).map(|records| {
        let pixels = records.iter().flat_map(|record| record[1..].iter().map(|&byte| f32::from(byte))).collect();
        let logits = logits(&ImageBatch::from_raw([records.len(), 3, 32, 32], pixels));
        let best = |row: &[f32]| models::scores::top_k(row, 1)[0];
        records.iter().zip(logits.chunks(10)).filter(|(record, row)| best(row) != usize::from(record[0])).count()
    });
    wrong.sum()
}
