//! oneDNN's convolutions against graft's own. `GRAFT_ONEDNN` names the library; without it these tests say that they skip.

use models::ops::Shape;
use models::{init, zoo};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::backend::tests::cases;
use crate::backend::tests::gradients::Case;
use crate::backend::tests::probe::probe;
use crate::backend::tests::random::{random, random_params};
use crate::backend::{ComputeBackend, OneDnn, Precision};

/// Sums of fewer than a thousand products in another order, each rounded to 6e-8 of itself.
const SINGLE: f64 = 1e-5;

/// Images, weights and gradients are rounded to eight bits of mantissa, by 2⁻⁸ of themselves at most, twice in a product and
/// once more in the result; with the few numbers that there are here, such errors need not cancel.
const BRAIN: f64 = 0.02;

fn library() -> Option<OneDnn> {
    fixtures::Library::OneDnn.path().map(|path| OneDnn::load(&path).unwrap())
}

/// Output, gradient of the input, and gradients of the parameters.
fn step(case: &Case, kernels: &ComputeBackend) -> Vec<(String, Vec<f32>)> {
    let Case { graph, batch, .. } = case;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let params = random_params(graph, &mut rng);
    let x = random(batch * graph.shape(graph.input()).len(), &mut rng);
    let mut executor = probe(kernels, graph, &params, &|_| true);
    let y = executor.forward_train(&x, 0).unwrap();
    let dy = random(y.len(), &mut rng);
    let dx = executor.backward_to_input(&dy);
    let mut actual = vec![("output".to_owned(), y), ("input".to_owned(), dx)];
    let gradients = executor.read_gradients().unwrap();
    actual.extend(gradients.iter().map(|(name, gradient)| (name.to_owned(), gradient.data().to_vec())));
    actual
}

/// The largest difference, as a part of the largest number.
fn difference(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let worst = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    f64::from(worst.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst }) / largest)
}

fn check_all(precision: Precision, tolerance: f64) {
    let Some(library) = library() else { return };
    let kernels = ComputeBackend::OneDnn(library, precision);
    let mut failures = vec![];
    for case in cases::convolutions() {
        let expected = step(&case, &ComputeBackend::Rust);
        let actual = step(&case, &kernels);
        for ((what, actual), (_, expected)) in actual.iter().zip(&expected) {
            let difference = difference(actual, expected);
            if difference.is_nan() || difference > tolerance {
                failures.push(format!("{}: {what} differs by {difference:.1e}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn in_f32_convolutions_are_grafts_own() {
    check_all(Precision::F32, SINGLE);
}

#[test]
fn in_bf16_convolutions_are_grafts_own_to_eight_bits() {
    if fixtures::has_bf16() {
        check_all(Precision::Bf16, BRAIN);
    }
}

/// The output and all gradients of a step of ResNet-18, of both kinds one vector.
fn resnet(kernels: &ComputeBackend) -> [Vec<f32>; 2] {
    let graph = zoo::find("resnet18").unwrap().graph([64; 2], 10).unwrap();
    let mut executor = probe(kernels, &graph, &init::he(&graph, 0), &|_| true);
    let images = random(8 * Shape::image(3, 64, 64).len(), &mut ChaCha8Rng::seed_from_u64(1));
    let output = executor.forward_train(&images, 0).unwrap();
    let dy: Vec<f32> = (0..output.len()).map(|at| if at % 10 == at / 10 { -0.9 } else { 0.1 }).collect();
    executor.backward(&dy).unwrap();
    let gradients = executor.read_gradients().unwrap();
    [output, gradients.iter().flat_map(|(_, gradient)| gradient.data()).copied().collect()]
}

/// How long the difference is, as a part of the length.
fn distance(actual: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = actual.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    (difference / expected.iter().map(|&x| square(x)).sum::<f64>()).sqrt()
}

/// In bf16 every layer rounds, forward and backward, and where numbers are near zero rectifiers and pools choose otherwise; so
/// gradients are compared as a whole. `reference/bf16_noise.py` does the same in PyTorch: over three seeds its bf16 differs
/// from its f32 by 0.022 to 0.047 in the output and by 0.336 to 0.351 in the gradients.
#[test]
fn a_step_of_resnet_18_agrees() {
    let Some(library) = library() else { return };
    let expected = resnet(&ComputeBackend::Rust);
    for (precision, tolerances) in [(Precision::F32, [1e-4, 1e-3]), (Precision::Bf16, [0.06, 0.45])] {
        if precision == Precision::Bf16 && !fixtures::has_bf16() {
            continue;
        }
        let actual = resnet(&ComputeBackend::OneDnn(library.clone(), precision));
        let distances = [0, 1].map(|index| distance(&actual[index], &expected[index]));
        assert!(distances.iter().zip(tolerances).all(|(d, t)| *d < t), "{precision:?}: {distances:?}");
    }
}

#[test]
fn the_same_step_twice_gives_the_same_bits() {
    let Some(library) = library() else { return };
    for precision in [Precision::F32, Precision::Bf16] {
        if precision == Precision::Bf16 && !fixtures::has_bf16() {
            continue;
        }
        let kernels = ComputeBackend::OneDnn(library.clone(), precision);
        let [first, second] =
            [0, 1].map(|_| resnet(&kernels).map(|part| part.into_iter().map(f32::to_bits).collect::<Vec<_>>()));
        assert!(first == second, "{precision:?}");
    }
}

mod brain {
    use half::bf16;
    use models::ops::Window;

    use crate::backend::cpu::kernels::epilogue::Epilogue;
    use crate::backend::cpu::kernels::norm::{Moments, Operands, ScaleShift};
    use crate::backend::cpu::kernels::pool::{MaxOperands, Windows};

    /// Small whole numbers are exact in both dtypes, and so is what pooling makes of them.
    #[test]
    fn pooling_of_exact_numbers_is_that_of_f32() {
        let windows = Windows::sliding(&Window::new(3, 2).padding(1), [7, 6], [4, 3], 5);
        let x: Vec<f32> = (0..2 * 7 * 6 * 5).map(|at| ((at * 37) % 101) as f32 - 50.0).collect();
        let dy: Vec<f32> = (0..2 * 4 * 3 * 5).map(|at| (at % 9) as f32).collect();
        let narrow = |numbers: &[f32]| numbers.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>();
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        windows.max(&x, &mut y);
        windows.max_backward(MaxOperands { x: &x, y: &y, dy: &dy }, &mut dx);
        let (half_x, mut half_y, half_dy, mut half_dx) = (narrow(&x), narrow(&y), narrow(&dy), narrow(&dx));
        windows.max(&half_x, &mut half_y);
        windows.max_backward(MaxOperands { x: &half_x, y: &half_y, dy: &half_dy }, &mut half_dx);
        assert_eq!((half_y, half_dx), (narrow(&y), narrow(&dx)));
    }

    #[test]
    fn statistics_are_those_of_the_rounded_numbers_and_the_result_is_rounded_once() {
        let x: Vec<bf16> = (0..60).map(|at| bf16::from_f32((at as f32 * 0.7).sin() * 3.0)).collect();
        let wide: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
        let moments = Moments::of(&x, 3);
        assert_eq!(moments, Moments::of(&wide, 3));
        let map = ScaleShift::normalizing(&moments, 1e-5, &[1.5; 3], &[0.25; 3]);
        let (mut y, mut wide_y) = (vec![bf16::ZERO; 60], vec![0.0; 60]);
        map.apply(Operands { x: &x, residual: Some(&x), epilogue: Epilogue::AddRelu }, &mut y);
        map.apply(Operands { x: &wide, residual: Some(&wide), epilogue: Epilogue::AddRelu }, &mut wide_y);
        assert_eq!(y, wide_y.into_iter().map(bf16::from_f32).collect::<Vec<_>>());
    }
}
