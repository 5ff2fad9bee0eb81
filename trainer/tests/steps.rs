//! Training steps of whole networks against PyTorch's, which trainer/reference/steps.py wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use models::ops::numbers;
use models::ops::{Dropout, Op};
use models::{Graph, GraphBuilder, Node, Params, Tensor, zoo};
use serde::Deserialize;
use trainer::backend::{ComputeBackend, ExecutorSpec, UpdateRule};
use trainer::optim::{Groups, OptimizerKind, Step};

const CLASSES: usize = 10;

/// The gradients of the first step differ by the order of sums of up to a hundred thousand products: 1e-4 of the largest.
const GRADIENT: f64 = 1e-4;
/// Statistics are means, with f64 on one side.
const STATISTICS: f64 = 1e-5;
/// Ten steps multiply the differences of the first. Measured are 3e-5 for VGG-11. ResNet-18 goes 1.3e-2 away, because in its
/// second step one input of `layer1.1.relu` rounds to the other side of zero: gradients behind that ReLU are 5e-6 from
/// PyTorch's in f64, those before it up to 4e-2 in the channels that it reaches, and those of the first step all within 2e-5.
const LOSSES: [(&str, f64); 2] = [("resnet18", 2e-2), ("vgg11", 2e-4)];

#[derive(Deserialize)]
struct Case {
    name: String,
    size: usize,
    batch: usize,
    learning_rate: f32,
    losses: Vec<f64>,
    gradients: BTreeMap<String, Samples>,
    statistics: BTreeMap<String, Samples>,
}

#[derive(Deserialize)]
struct Samples {
    stride: usize,
    numbers: Vec<f64>,
    largest: f64,
}

#[test]
fn gradients_statistics_and_losses_are_pytorchs() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/steps.json")).unwrap();
    for (case, backend) in cases.iter().flat_map(|case| backends().into_iter().map(move |backend| (case, backend))) {
        check(case, &backend);
    }
}

/// Those that are compiled in.
fn backends() -> Vec<ComputeBackend> {
    vec![
        ComputeBackend::Rust,
        #[cfg(feature = "candle")]
        ComputeBackend::Candle(trainer::backend::CandleDevice::cpu(), trainer::backend::Precision::F32),
    ]
}

fn check(case: &Case, backend: &ComputeBackend) {
    let graph = zoo::find(&case.name).unwrap().graph([case.size; 2], CLASSES).unwrap();
    let graph = without_dropout(&graph);
    let sgd = UpdateRule {
        kind: OptimizerKind::Sgd { momentum: 0.9, nesterov: false },
        groups: Groups::default(),
        ema: None,
    };
    let spec = ExecutorSpec { graph: &graph, params: &params(&graph), trains: &|_| true, update: Some(sgd) };
    let mut executor = backend.open(&spec).unwrap();
    let labels: Vec<usize> = (0..case.batch).map(|i| (7 * i + 3) % CLASSES).collect();
    let tolerance = LOSSES.iter().find(|(name, _)| *name == case.name).unwrap().1;
    for (step, &expected) in case.losses.iter().enumerate() {
        let logits = executor.forward_train(&images(case, step), 0).unwrap();
        let (loss, dy) = cross_entropy(&logits, &labels);
        assert!(
            (loss - expected).abs() < tolerance * expected,
            "{}, {backend}, step {step}: {loss}, PyTorch {expected}",
            case.name
        );
        executor.backward(&dy).unwrap();
        if step == 0 {
            let (gradients, weights) = (executor.read_gradients().unwrap(), executor.read_weights().unwrap());
            for (parameter, trained) in executor.parameters().iter().zip(executor.trained()) {
                let name = &parameter.name;
                if *trained {
                    compare(name, gradients.get(name).unwrap(), &case.gradients[name], GRADIENT);
                } else {
                    compare(name, weights.get(name).unwrap(), &case.statistics[name], STATISTICS);
                }
            }
        }
        executor.apply(Step::at(f64::from(case.learning_rate))).unwrap();
    }
}

/// Masks are each framework's own.
fn without_dropout(graph: &Graph) -> Graph {
    let change = |builder: &mut GraphBuilder, _, node: Node| match node.op {
        Op::Dropout(_) => builder.push_node(Node { op: Dropout { p: 0.0 }.into(), ..node }),
        _ => builder.push_node(node),
    };
    graph.rebuild(change).unwrap()
}

fn compare(name: &str, actual: &Tensor, expected: &Samples, tolerance: f64) {
    let actual = actual.data().iter().step_by(expected.stride);
    assert_eq!(actual.len(), expected.numbers.len(), "{name}");
    for (actual, expected_number) in actual.zip(&expected.numbers) {
        let difference = (f64::from(*actual) - expected_number).abs();
        assert!(difference <= tolerance * expected.largest, "{name}: {actual}, PyTorch {expected_number}");
    }
}

fn cross_entropy(logits: &[f32], labels: &[usize]) -> (f64, Vec<f32>) {
    let (mut loss, mut gradient) = (0.0, vec![]);
    for (row, &label) in logits.chunks(CLASSES).zip(labels) {
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        loss += (sum.ln() - f64::from(row[label])) / labels.len() as f64;
        gradient.extend(row.iter().enumerate().map(|(class, &x)| {
            let target = if class == label { 1.0 } else { 0.0 };
            ((f64::from(x).exp() / sum - target) / labels.len() as f64) as f32
        }));
    }
    (loss, gradient)
}

fn params(graph: &Graph) -> Params {
    let declared = graph.nodes().iter().flat_map(|node| node.params());
    declared.map(|(name, declared)| (name.to_owned(), tensor(name, &declared.shape))).collect()
}

fn images(case: &Case, step: usize) -> Vec<f32> {
    let (n, size) = (case.batch, case.size);
    let images = tensor(&format!("images{step}"), &[n, 3, size, size]);
    let scale = (3.0 * (size * size) as f64 / 2.0).sqrt();
    let at = |index: usize| {
        let (image, pixel, channel) = (index / (3 * size * size), index / 3 % (size * size), index % 3);
        (f64::from(images.data()[(image * 3 + channel) * size * size + pixel]) * scale) as f32
    };
    (0..images.data().len()).map(at).collect()
}

/// As the script's function of this name.
fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let fan_in = numbers(&shape[1..]) as f64;
    let one = name.ends_with("running_var") || name.ends_with("weight");
    let of = |number: f64| match shape.len() {
        2.. => number * (6.0 / fan_in).sqrt(),
        _ if one => 1.0 + number / 2.0,
        _ => number / 10.0,
    };
    Tensor::new(shape, uniform(name, numbers(shape)).map(|number| of(number) as f32).collect())
}

/// As the script's.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    (1..=count as u64).map(move |at| {
        let mut z = seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}
