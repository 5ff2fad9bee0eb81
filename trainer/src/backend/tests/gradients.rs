//! Gradients of every backend against central differences of the same network in f64.

use models::Graph;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::probe::probe;
use super::random::{random, random_params};
use super::reference::{self, Numbers, ReferencePass, Statistics};
use super::{cases, exact_backends};
use crate::backend::cpu::layout::MemoryOrder;
use crate::backend::{ComputeBackend, Parameter};

/// Forward and backward are computed in f32, the differences in f64. Every gradient is a sum of fewer than a thousand
/// products, each rounded to 6e-8 of itself.
const TOLERANCE: f64 = 2e-5;

/// Half the step of a central difference. Its error is of the order of its square, 1e-10, and what f64 rounds off, 1e-16,
/// over it.
const STEP: f64 = 1e-5;

#[test]
fn every_gradient_is_the_numeric_one() {
    let cases = cases::all();
    let each = cases.iter().flat_map(|case| exact_backends().into_iter().map(move |backend| (case, backend)));
    let failures: Vec<String> = each.filter_map(|(case, backend)| check(case, &backend).err()).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// A network and how it is to be run.
pub(in crate::backend) struct Case {
    pub(in crate::backend) name: String,
    pub(in crate::backend) graph: Graph,
    pub(in crate::backend) batch: usize,
    pub(in crate::backend) statistics: Statistics,
}

fn check(case: &Case, backend: &ComputeBackend) -> Result<(), String> {
    let Case { graph, batch, statistics, .. } = case;
    let name = format!("{backend}, {}", case.name);
    let mut rng = ChaCha8Rng::seed_from_u64(case.name.bytes().map(u64::from).sum());
    let params = random_params(graph, &mut rng);
    let shape = graph.shape(graph.input());
    let x = random(batch * shape.len(), &mut rng);
    let trains = |parameter: &Parameter| *statistics == Statistics::Batch || parameter.operator != "BatchNorm";
    let mut executor = probe(backend, graph, &params, &trains);
    let y =
        executor.forward_train(&MemoryOrder::Memory.of(shape, &x), 0).map_err(|error| format!("{name}: {error}"))?;
    let output = graph.shape(graph.output());
    let y = MemoryOrder::Graph.of(output, &y);
    let dy = random(y.len(), &mut rng);
    let dx = executor.backward_to_input(&MemoryOrder::Memory.of(output, &dy));
    let gradients = executor.read_gradients().unwrap();

    let mut numbers = reference::numbers(graph, &params);
    let mut input: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let expected = reference::forward(graph, &numbers, &input, ReferencePass { n: *batch, statistics: *statistics });
    compare(&name, "output", &y, &expected)?;

    let loss = |numbers: &Numbers, input: &[f64]| -> f64 {
        let y = reference::forward(graph, numbers, input, ReferencePass { n: *batch, statistics: *statistics });
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
    compare(&name, "input", &MemoryOrder::Graph.of(shape, &dx), &numeric)?;
    for (parameter, actual) in gradients.iter() {
        let uses: Vec<(usize, usize)> = users(graph, parameter);
        let numeric: Vec<f64> = (0..actual.data().len())
            .map(|at| {
                let [above, below] = [STEP, -2.0 * STEP].map(|step| {
                    uses.iter().for_each(|&(node, index)| numbers[node][index][at] += step);
                    loss(&numbers, &input)
                });
                uses.iter().for_each(|&(node, index)| numbers[node][index][at] += STEP);
                (above - below) / (2.0 * STEP)
            })
            .collect();
        compare(&name, parameter, actual.data(), &numeric)?;
    }
    let trained = executor.trained().iter().filter(|trained| **trained).count();
    match gradients.iter().count() == trained {
        true => Ok(()),
        false => Err(format!("{name}: {} gradients of {trained} parameters", gradients.iter().count())),
    }
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

mod corners {
    use models::ops::{Dropout, MaxPool, Op, Relu, Shape, Window};
    use models::{GraphBuilder, Params};

    use super::*;
    use crate::backend::tests::probe::Probe;

    fn one(backend: &ComputeBackend, op: impl Into<Op>, shape: Shape) -> Box<dyn Probe> {
        let mut builder = GraphBuilder::new("x", shape);
        let node = builder.push("op", op, &[builder.input()]).unwrap();
        probe(backend, &builder.finish(node), &Params::default(), &|_| true)
    }

    fn gradient(executor: &mut dyn Probe, x: &[f32], dy: &[f32]) -> Vec<f32> {
        executor.forward_train(x, 3).unwrap();
        executor.backward_to_input(dy)
    }

    #[test]
    fn a_relu_has_no_slope_at_zero_and_hides_no_failure() {
        for backend in exact_backends() {
            let mut relu = one(&backend, Relu, Shape::vector(3));
            assert_eq!(gradient(&mut *relu, &[-1.0, 0.0, 1.0], &[5.0, 6.0, 7.0]), [0.0, 0.0, 7.0], "{backend}");
            let y = relu.infer_nhwc(&[f32::NAN, -1.0, f32::INFINITY]).unwrap();
            assert!(y[0].is_nan() && y[1..] == [0.0, f32::INFINITY], "{backend}: {y:?}");
        }
    }

    /// `torch.nn.MaxPool2d(2)` gives the first of equal numbers everything, and so with overlapping windows.
    #[test]
    fn the_first_of_equal_numbers_has_the_gradient() {
        for backend in exact_backends() {
            let mut pool = one(&backend, MaxPool(Window::new(2, 2)), Shape::image(1, 2, 2));
            assert_eq!(gradient(&mut *pool, &[1.0, 3.0, 3.0, 3.0], &[2.0]), [0.0, 2.0, 0.0, 0.0], "{backend}");
            let mut pool = one(&backend, MaxPool(Window::new(2, 1)), Shape::image(1, 2, 3));
            let overlapping = gradient(&mut *pool, &[1.0; 6], &[2.0, 3.0]);
            assert_eq!(overlapping, [2.0, 3.0, 0.0, 0.0, 0.0, 0.0], "{backend}");
        }
    }

    #[test]
    fn dropout_zeroes_its_share_and_its_gradient_where_it_did() {
        let count = 200_000;
        let ones = vec![1.0; count];
        let mut first: Option<Vec<f32>> = None;
        for backend in exact_backends() {
            let mut dropout = one(&backend, Dropout { p: 0.3 }, Shape::vector(count));
            let y = dropout.forward_train(&ones, 3).unwrap();
            assert_eq!(gradient(&mut *dropout, &ones, &ones), y, "{backend}");
            assert_ne!(dropout.forward_train(&ones, 4).unwrap(), y, "{backend}");
            assert_eq!(dropout.infer_nhwc(&ones).unwrap(), ones, "{backend}");
            let zeros = y.iter().filter(|&&y| y == 0.0).count() as f64 / count as f64;
            // Five standard deviations of a share of so many draws.
            assert!((zeros - 0.3).abs() < 5.0 * (0.3 * 0.7 / count as f64).sqrt(), "{backend}: {zeros}");
            assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / 0.7), "{backend}");
            assert_eq!(*first.get_or_insert_with(|| y.clone()), y, "{backend} drops what the first backend drops");
        }
    }
}
