//! The networks of the tables give torchvision's logits for torchvision's weights.

use std::collections::BTreeMap;
use std::path::Path;

use models::preprocess::ImageBatch;
use models::{Graph, Params, Tensor, zoo};
use onnx::parity::{TOLERANCE, relative_difference};
use tests::generated::generated;
use trainer::backend::CpuExecutor;

const SIDE: usize = 64;
const INPUT_SEED: u64 = 99;

#[test]
fn logits_are_torchvisions() {
    // Written by tests/reference/torchvision_logits.py.
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/torchvision_logits.json"));
    let expected: BTreeMap<String, Vec<f32>> = serde_json::from_str(&text.unwrap()).unwrap();
    let image = ImageBatch::from_raw([1, 3, SIDE, SIDE], generated(3 * SIDE * SIDE, (-2.0, 2.0), INPUT_SEED));
    for (name, logits) in &expected {
        let graph = zoo::find(name).unwrap().graph([SIDE; 2], logits.len()).unwrap();
        let params = params(&graph);
        let actual = CpuExecutor::new(&graph, &params).unwrap().infer_batch(&image).unwrap();
        let difference = relative_difference(logits, actual.data());
        // Sums in other orders come to 1e-6 even in 152 layers; a wrong stride or padding to far more than this.
        assert!(difference < TOLERANCE, "{name}: {difference:.1e} of the largest logit");
    }
}

/// The same weights as the script's: each tensor by its place among the sorted names.
fn params(graph: &Graph) -> Params {
    let shapes: BTreeMap<String, Vec<usize>> = graph
        .nodes()
        .iter()
        .flat_map(|node| node.params())
        .map(|(name, param)| (name.to_owned(), param.shape))
        .collect();
    let tensor = |(seed, (name, shape)): (u64, (String, Vec<usize>))| {
        let numbers = generated(shape.iter().product(), bounds(&name, &shape), seed);
        (name, Tensor::new(shape, numbers))
    };
    (0..).zip(shapes).map(tensor).collect()
}

fn bounds(name: &str, shape: &[usize]) -> (f64, f64) {
    if shape.len() > 1 {
        let limit = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        return (-limit, limit);
    }
    if name.ends_with("weight") || name.ends_with("running_var") { (0.6, 1.4) } else { (-0.1, 0.1) }
}
