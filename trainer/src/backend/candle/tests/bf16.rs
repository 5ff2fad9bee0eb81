//! Products in bf16 against sums in f64 of operands that are rounded by hand.

use half::bf16;
use models::ops::{Linear, Shape};
use models::{GraphBuilder, Params};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::backend::cpu::layout::MemoryOrder;
use crate::backend::tests::cases;
use crate::backend::tests::cuda;
use crate::backend::tests::gradients::Case;
use crate::backend::tests::probe::probe;
use crate::backend::tests::random::{random, random_params};
use crate::backend::tests::reference::{self, Numbers, ReferencePass, Statistics};
use crate::backend::{CandleDevice, ComputeBackend, Precision};

/// bf16 has eight bits of mantissa, the first of which is always one: the nearest number is at most so far away, as a part of
/// the number.
const ROUNDING: f64 = 1.0 / 256.0;

/// Of the largest number: what sums of fewer than a thousand products in f32 may be away from those in f64.
const SUMS: f64 = 1e-5;

/// A number of a product, and what is added to it without being rounded.
struct Expected {
    product: f64,
    rest: f64,
}

/// What one operator makes of one batch, by a device and by arithmetic.
struct Compared {
    what: String,
    actual: Vec<f32>,
    expected: Vec<Expected>,
}

impl Compared {
    /// What was made without a bias.
    fn product(what: &str, actual: Vec<f32>, expected: Vec<f64>) -> Self {
        let expected = expected.into_iter().map(|product| Expected { product, rest: 0.0 }).collect();
        Self { what: what.to_owned(), actual, expected }
    }

    /// The largest difference, as a part of the one that there may be.
    fn worst(&self) -> f64 {
        assert_eq!(self.actual.len(), self.expected.len(), "{}", self.what);
        let largest = self.expected.iter().map(|number| number.product.abs()).fold(1e-3, f64::max);
        let part = |(&actual, number): (&f32, &Expected)| {
            let difference = (f64::from(actual) - number.product - number.rest).abs();
            difference / (ROUNDING * number.product.abs() + SUMS * largest)
        };
        let parts = self.actual.iter().zip(&self.expected).map(part);
        parts.fold(0.0, |worst, part| if part > worst || part.is_nan() { part } else { worst })
    }
}

fn rounded(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| bf16::from_f32(x).to_f64()).collect()
}

fn exact(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| f64::from(x)).collect()
}

/// The weights of the graph's only operator, and its bias; what they are is in the order of its parameters.
fn numbers(case: &Case, params: &Params, change: impl Fn(usize, &[f32]) -> Vec<f64>) -> Numbers {
    let node = |node: &models::Node| {
        let each = node.params.iter().enumerate();
        each.map(|(index, name)| change(index, params.get(name).unwrap().data())).collect()
    };
    case.graph.nodes().iter().map(node).collect()
}

fn compare(case: &Case, backend: &ComputeBackend) -> Vec<Compared> {
    let graph = &case.graph;
    let (input, output) = (graph.shape(graph.input()), graph.shape(graph.output()));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let params = random_params(graph, &mut rng);
    let x = random(case.batch * input.len(), &mut rng);
    let dy = random(case.batch * output.len(), &mut rng);
    let mut executor = probe(backend, graph, &params, &|_| true);
    let y = executor.forward_train(&MemoryOrder::Memory.of(input, &x), 0).unwrap();
    let dx = executor.backward_to_input(&MemoryOrder::Memory.of(output, &dy));
    let gradients = executor.read_gradients().unwrap();

    // The operator is linear in its input and in its weights, so that differences of any size are its gradients.
    let pass = ReferencePass { n: case.batch, statistics: Statistics::Batch };
    let forward = |numbers: &Numbers, x: &[f64]| reference::forward(graph, numbers, x, pass);
    let without_bias =
        numbers(case, &params, |index, data| if index == 0 { rounded(data) } else { vec![0.0; data.len()] });
    let bias_alone = numbers(case, &params, |index, data| if index == 0 { vec![0.0; data.len()] } else { exact(data) });
    let (wide_x, rounded_dy) = (rounded(&x), rounded(&dy));
    let product = forward(&without_bias, &wide_x);
    let loss = |y: &[f64]| -> f64 { y.iter().zip(&rounded_dy).map(|(y, dy)| y * dy).sum() };
    let at_zero = loss(&product);
    let of_input = |at: usize| {
        let mut x = wide_x.clone();
        x[at] += 1.0;
        loss(&forward(&without_bias, &x)) - at_zero
    };
    let node = graph.output().index();
    let of_weight = |at: usize| {
        let mut numbers = without_bias.clone();
        numbers[node][0][at] += 1.0;
        loss(&forward(&numbers, &wide_x)) - at_zero
    };
    let names = &graph.node(graph.output()).params;
    let dw = gradients.get(&names[0]).unwrap().data().to_vec();
    let expected_dw = (0..dw.len()).map(of_weight).collect();
    let rest = forward(&bias_alone, &wide_x);
    let expected = product.into_iter().zip(rest).map(|(product, rest)| Expected { product, rest }).collect();
    vec![
        Compared { what: "output".to_owned(), actual: MemoryOrder::Graph.of(output, &y), expected },
        Compared::product("input", MemoryOrder::Graph.of(input, &dx), (0..x.len()).map(of_input).collect()),
        Compared::product("weight", dw, expected_dw),
    ]
}

fn cases() -> Vec<Case> {
    let mut builder = GraphBuilder::new("x", Shape::vector(40));
    let node = builder.push("op", Linear::new(40, 7), &[builder.input()]).unwrap();
    let linear =
        Case { name: "linear".to_owned(), graph: builder.finish(node), batch: 3, statistics: Statistics::Batch };
    cases::convolutions().into_iter().chain([linear]).collect()
}

fn worst(case: &Case, backend: &ComputeBackend) -> Vec<(String, f64)> {
    compare(case, backend).iter().map(|compared| (compared.what.clone(), compared.worst())).collect()
}

#[test]
fn products_are_those_of_rounded_operands_rounded_once() {
    let on_cuda = cuda().and_then(|backend| backend.in_precision(Precision::Bf16));
    let backends = [ComputeBackend::Candle(CandleDevice::cpu(), Precision::Bf16)].into_iter().chain(on_cuda);
    let mut failures = vec![];
    for backend in backends {
        for case in cases() {
            let all = worst(&case, &backend).into_iter();
            let wrong = all.filter(|(_, worst)| worst.is_nan() || *worst > 1.0);
            failures
                .extend(wrong.map(|(what, worst)| format!("{backend}, {}: {what} differs by {worst:.2}", case.name)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// So the comparison sees whether operands were rounded.
#[test]
fn products_of_exact_operands_are_others() {
    for case in cases() {
        let all = worst(&case, &ComputeBackend::Candle(CandleDevice::cpu(), Precision::F32));
        assert!(all.iter().any(|(_, worst)| *worst > 1.0), "{}: {all:?}", case.name);
    }
}
