//! Gradients against central differences of the same network in f64.

mod cases;
mod onednn;
mod reference;

use models::{Graph, Params, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::CpuExecutor;
use super::layout::MemoryOrder;
use super::plan::{Gradient, Wants};
use crate::backend::ComputeBackend;
use reference::{Numbers, Pass, Statistics};

/// Forward and backward are computed in f32, the differences in f64. Every gradient is a sum of fewer than a thousand
/// products, each rounded to 6e-8 of itself.
const TOLERANCE: f64 = 2e-5;

/// Half the step of a central difference. Its error is of the order of its square, 1e-10, and what f64 rounds off, 1e-16,
/// over it.
const STEP: f64 = 1e-5;

#[test]
fn every_gradient_is_the_numeric_one() {
    let failures: Vec<String> = cases::all().iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases::all().len(), failures.join("\n"));
}

/// With the gradient of the input too.
fn wants(kernels: &ComputeBackend) -> Wants<'_> {
    Wants { input: Gradient::Wanted, kernels }
}

/// A network and how it is to be run.
pub(super) struct Case {
    name: String,
    graph: Graph,
    batch: usize,
    statistics: Statistics,
}

fn check(case: &Case) -> Result<(), String> {
    let Case { graph, batch, statistics, .. } = case;
    let mut rng = ChaCha8Rng::seed_from_u64(case.name.bytes().map(u64::from).sum());
    let params = random_params(graph, &mut rng);
    let shape = graph.shape(graph.input());
    let x = random(batch * shape.len(), &mut rng);
    let trains = |parameter: &super::Parameter| *statistics == Statistics::Batch || parameter.operator != "BatchNorm";
    let mut executor = CpuExecutor::with_gradient(graph, &params, trains, &wants(&ComputeBackend::Rust)).unwrap();
    let pass = executor.forward_tape(&MemoryOrder::Memory.of(shape, &x), 0).unwrap();
    let output = graph.shape(graph.output());
    let y = MemoryOrder::Graph.of(output, pass.output());
    let dy = random(y.len(), &mut rng);
    let actual = executor.backward_to_input(pass, &MemoryOrder::Memory.of(output, &dy)).unwrap();
    let (gradients, dx) = (actual.gradients, actual.input);

    let mut numbers = reference::numbers(graph, &params);
    let mut input: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let expected = reference::forward(graph, &numbers, &input, Pass { n: *batch, statistics: *statistics });
    compare(&case.name, "output", &y, &expected)?;

    let loss = |numbers: &Numbers, input: &[f64]| -> f64 {
        let y = reference::forward(graph, numbers, input, Pass { n: *batch, statistics: *statistics });
        y.iter().zip(&dy).map(|(y, &dy)| y * f64::from(dy)).sum()
    };
    let numeric: Vec<f64> = (0..input.len())
        .map(|at| {
            let [above, below] = [STEP, -2.0 * STEP].map(|step| {
                input[at] += step;
                loss(&numbers, &input)
            });
            input[at] += STEP;
            (above - below) / (2.0 * STEP)
        })
        .collect();
    compare(&case.name, "input", &MemoryOrder::Graph.of(shape, dx.unwrap().numbers()), &numeric)?;
    for (id, parameter) in executor.weights.parameters().iter().enumerate() {
        let Some(actual) = gradients.get(id) else { continue };
        let uses: Vec<(usize, usize)> = users(graph, &parameter.name);
        let numeric: Vec<f64> = (0..actual.len())
            .map(|at| {
                let [above, below] = [STEP, -2.0 * STEP].map(|step| {
                    uses.iter().for_each(|&(node, index)| numbers[node][index][at] += step);
                    loss(&numbers, &input)
                });
                uses.iter().for_each(|&(node, index)| numbers[node][index][at] += STEP);
                (above - below) / (2.0 * STEP)
            })
            .collect();
        compare(&case.name, &parameter.name, parameter.tensor(actual).data(), &numeric)?;
    }
    Ok(())
}

/// The largest difference, as a part of the largest number.
fn compare(case: &str, what: &str, actual: &[f32], expected: &[f64]) -> Result<(), String> {
    let largest = expected.iter().map(|x| x.abs()).fold(1e-3, f64::max);
    let differences = actual.iter().zip(expected).map(|(&actual, expected)| (f64::from(actual) - expected).abs());
    let worst = differences.fold(0.0, |worst: f64, d| if d > worst || d.is_nan() { d } else { worst }) / largest;
    if actual.len() != expected.len() || worst.is_nan() || worst > TOLERANCE {
        return Err(format!("{case}: {what} differs by {worst:.1e} ({actual:.3?} {expected:.3?})"));
    }
    Ok(())
}

/// Where a parameter is: nodes, and which of theirs it is.
fn users(graph: &Graph, name: &str) -> Vec<(usize, usize)> {
    let of_node = |(id, node): (models::graph::NodeId, &models::Node)| {
        node.params.iter().position(|param| param == name).map(|index| (id.index(), index))
    };
    graph.iter().filter_map(of_node).collect()
}

/// Far from corners: none nearer to another or to zero than the step of a difference, but by bad luck.
fn random(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-2.0..2.0)).collect()
}

fn random_params(graph: &Graph, rng: &mut ChaCha8Rng) -> Params {
    let declared = graph.nodes().iter().flat_map(|node| node.params());
    let tensor = |(name, declared): (&str, models::ops::ParamDecl)| {
        let count = declared.shape.iter().product();
        let numbers = match declared.role {
            "running_var" => (0..count).map(|_| rng.random_range(0.5..2.0)).collect(),
            _ => (0..count).map(|_| rng.random_range(-1.0..1.0)).collect(),
        };
        (name.to_owned(), Tensor::new(declared.shape, numbers))
    };
    declared.map(tensor).collect()
}

/// A step of a small residual network: what it answers and what it finds for every parameter.
fn step(threads: usize) -> (Vec<f32>, Vec<Vec<f32>>) {
    let graph = models::zoo::find("resnet20_cifar").unwrap().graph([32, 32], 10).unwrap();
    let params = models::init::he(&graph, 5);
    let images = random(6 * 3 * 32 * 32, &mut ChaCha8Rng::seed_from_u64(1));
    let run = || {
        let mut executor = CpuExecutor::new(&graph, &params).unwrap();
        let pass = executor.forward_tape(&images, 0).unwrap();
        let (y, dy) = (pass.output().to_vec(), vec![0.1; pass.output().len()]);
        let gradients = executor.backward_tape(pass, &dy).unwrap();
        let ids = 0..executor.weights.parameters().len();
        (y, ids.filter_map(|id| gradients.get(id).map(<[f32]>::to_vec)).collect())
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let one = step(1);
    assert!(one.0.iter().all(|y| y.is_finite()));
    for threads in [2, 3, 5] {
        assert!(step(threads) == one, "{threads} threads");
    }
}

mod corners {
    use models::GraphBuilder;
    use models::ops::{Dropout, MaxPool, Op, Relu, Shape, Window};

    use super::*;

    fn one(op: impl Into<Op>, shape: Shape) -> CpuExecutor {
        let mut builder = GraphBuilder::new("x", shape);
        let node = builder.push("op", op, &[builder.input()]).unwrap();
        CpuExecutor::with_gradient(&builder.finish(node), &Params::default(), |_| true, &wants(&ComputeBackend::Rust))
            .unwrap()
    }

    fn gradient(executor: &mut CpuExecutor, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let pass = executor.forward_tape(x, 3).unwrap();
        executor.backward_to_input(pass, dy).unwrap().input.unwrap().numbers().to_vec()
    }

    #[test]
    fn a_relu_has_no_slope_at_zero() {
        let mut relu = one(Relu, Shape::vector(3));
        assert_eq!(gradient(&mut relu, &[-1.0, 0.0, 1.0], &[5.0, 6.0, 7.0]), [0.0, 0.0, 7.0]);
    }

    /// `torch.nn.MaxPool2d(2)` gives the first of equal numbers everything, and so with overlapping windows.
    #[test]
    fn the_first_of_equal_numbers_has_the_gradient() {
        let mut pool = one(MaxPool(Window::new(2, 2)), Shape::image(1, 2, 2));
        assert_eq!(gradient(&mut pool, &[1.0, 3.0, 3.0, 3.0], &[2.0]), [0.0, 2.0, 0.0, 0.0]);
        let mut pool = one(MaxPool(Window::new(2, 1)), Shape::image(1, 2, 3));
        assert_eq!(gradient(&mut pool, &[1.0; 6], &[2.0, 3.0]), [2.0, 3.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn dropout_zeroes_its_share_and_its_gradient_where_it_did() {
        let count = 200_000;
        let mut dropout = one(Dropout { p: 0.3 }, Shape::vector(count));
        let ones = vec![1.0; count];
        let y = dropout.forward_tape(&ones, 3).unwrap().output().to_vec();
        assert_eq!(gradient(&mut dropout, &ones, &ones), y);
        assert_ne!(dropout.forward_tape(&ones, 4).unwrap().output(), y);
        assert_eq!(dropout.infer_nhwc(&ones).unwrap(), ones);
        let zeros = y.iter().filter(|&&y| y == 0.0).count() as f64 / count as f64;
        // Five standard deviations of a share of so many draws.
        assert!((zeros - 0.3).abs() < 5.0 * (0.3 * 0.7 / count as f64).sqrt(), "{zeros}");
        assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / 0.7));
    }
}
