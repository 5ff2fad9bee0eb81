//! A rough inverse of the Hessian, which every direction of a search begins with.
//!
//! The Hessian of the loss is about `curvature · XᵀX/n + penalty` for each class. Features vary much in few directions, which L-BFGS
//! would find one step after the other. Here they are found once for all penalties, by a power of the matrix times random
//! vectors (Halko et al. 2011), and make a preconditioner of low rank (Frangella et al. 2023).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::design::Design;
use super::eigen::{eigen, orthonormalizing};
use super::solution::Solution;
use crate::backend::cpu::kernels::dot::dot;
use crate::backend::cpu::kernels::matmul::Matrix;
use crate::backend::cpu::kernels::narrow::narrow_product;

/// Directions that are looked for.
const SOUGHT: usize = 24;
/// Directions that are used: the last of those that are found are the worst.
const USED: usize = 16;

/// The directions in which the rows of a design vary most.
pub(super) struct Preconditioner {
    directions: Directions,
    /// The mean square of what each direction says to the rows.
    spreads: Vec<f64>,
    /// About the same for all other directions.
    rest: f64,
}

/// What the Hessian is made of, beside the rows.
pub(super) struct Hessian<'a> {
    /// About the second derivative of the loss by a logit of each class.
    pub(super) curvatures: &'a [f64],
    pub(super) penalty: f64,
}

/// Directions in the space of weights.
struct Directions {
    /// `[size, count]`
    coefficients: Vec<f32>,
    /// What they say to the rows, `[n, count]`.
    logits: Vec<f32>,
    count: usize,
}

impl Preconditioner {
    pub(super) fn new(design: &Design<'_>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let count = SOUGHT.min(design.size()).min(design.rows());
        let random: Vec<f32> = (0..design.size() * count).map(|_| rng.random::<f32>() - 0.5).collect();
        let coefficients = design.transposed_product(design.product(&random, count), count);
        let logits = design.product(&coefficients, count);
        let mut directions = Directions { coefficients, logits, count };
        // Twice: they are so alike at first that once leaves them orthonormal to few digits.
        let mut spreads = directions.align(design);
        if !spreads.is_empty() {
            spreads = directions.align(design);
        }
        let rest = spreads.get(USED).or(spreads.last()).copied().unwrap_or(0.0);
        directions.keep(USED);
        // Turned by themselves they would drift from what the coefficients say.
        directions.logits = design.product(&directions.coefficients, directions.count);
        spreads.truncate(USED);
        Self { directions, spreads, rest }
    }

    /// A gradient divided by the Hessian.
    pub(super) fn divide(&self, design: &Design<'_>, gradient: &Solution, hessian: &Hessian<'_>) -> Solution {
        let Directions { coefficients, logits, count } = &self.directions;
        let Hessian { curvatures, penalty } = hessian;
        let classes = curvatures.len();
        let factor = |spread: f64| curvatures.iter().map(move |curvature| 1.0 / (curvature * spread + penalty));
        let rest: Vec<f32> = factor(self.rest).map(|factor| factor as f32).collect();
        let mut along = if *count == 0 {
            vec![]
        } else {
            let directions = Matrix::new(coefficients, design.size(), *count).transposed();
            narrow_product(directions, design.dual(gradient), classes)
        };
        for (row, &spread) in along.chunks_mut(classes).zip(&self.spreads) {
            row.iter_mut().zip(factor(spread)).zip(&rest).for_each(|((x, own), rest)| *x *= own as f32 - rest);
        }
        let divided = |numbers: &[f32], directions: &[f32]| {
            let mut out = if *count == 0 {
                vec![0.0; numbers.len()]
            } else {
                narrow_product(Matrix::new(directions, directions.len() / count, *count), &along, classes)
            };
            for (out, numbers) in out.chunks_mut(classes).zip(numbers.chunks(classes)) {
                out.iter_mut().zip(numbers).zip(&rest).for_each(|((out, x), rest)| *out += x * rest);
            }
            out
        };
        Solution {
            coefficients: divided(&gradient.coefficients, coefficients),
            logits: divided(&gradient.logits, logits),
            bias: gradient.bias.iter().zip(*curvatures).map(|(x, curvature)| x / *curvature as f32).collect(),
        }
    }
}

impl Directions {
    /// Turns them, orthonormal, to where the rows vary most, and gives the mean square of what each says to the rows. Those that
    /// add nothing are dropped.
    fn align(&mut self, design: &Design<'_>) -> Vec<f64> {
        let n = self.count;
        let columns = |numbers: &[f32]| -> Vec<Vec<f32>> {
            (0..n).map(|column| numbers.iter().skip(column).step_by(n).copied().collect()).collect()
        };
        let (weights, logits) = (columns(&self.coefficients), columns(&self.logits));
        let duals = if design.has_features() { &weights } else { &logits };
        let table = |a: &[Vec<f32>], b: &[Vec<f32>]| -> Vec<f64> {
            (0..n * n).map(|at| dot(&a[(at / n).min(at % n)], &b[(at / n).max(at % n)])).collect()
        };
        let (basis, m) = orthonormalizing(&table(&weights, duals), n);
        let spreads = table(&logits, &logits);
        let rows = design.rows() as f64;
        let turned: Vec<f64> = multiply(&spreads, &basis, n).into_iter().map(|x| x / rows).collect();
        let (values, vectors) = eigen(&multiply(&transposed(&basis, m), &turned, n), m);
        let turn: Vec<f32> = multiply(&basis, &vectors, m).into_iter().map(|x| x as f32).collect();
        for numbers in [&mut self.coefficients, &mut self.logits] {
            *numbers =
                if m == 0 { vec![] } else { narrow_product(Matrix::new(numbers, numbers.len() / n, n), &turn, m) };
        }
        self.count = m;
        values
    }

    /// Keeps the first of them.
    fn keep(&mut self, most: usize) {
        let kept = self.count.min(most);
        for numbers in [&mut self.coefficients, &mut self.logits] {
            *numbers = numbers.chunks(self.count.max(1)).flat_map(|row| &row[..kept.min(row.len())]).copied().collect();
        }
        self.count = kept;
    }
}

/// The product of small matrices; `inner` is how many columns the first has.
fn multiply(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let columns = b.len() / inner.max(1);
    let row =
        |a: &[f64]| (0..columns).map(|j| (0..inner).map(|k| a[k] * b[k * columns + j]).sum()).collect::<Vec<f64>>();
    a.chunks(inner.max(1)).flat_map(row).collect()
}

/// `[n, columns]` as `[columns, n]`.
fn transposed(matrix: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::design::{Design, pairwise_products};
    use super::*;

    const ROWS: usize = 40;
    const WIDTH: usize = 8;

    /// Columns of sizes from 1 to 8.
    fn features() -> Vec<f32> {
        let number = |i: usize, j: usize| (((i * 37 + j * 101 + i * j * 13) * 7919 % 257) as f32 - 128.0) / 128.0;
        (0..ROWS).flat_map(|i| (0..WIDTH).map(move |j| number(i, j) * (1 << (j / 2)) as f32)).collect()
    }

    #[test]
    fn where_all_directions_are_known_it_is_the_inverse_of_the_hessian() {
        let features = features();
        let x = Matrix::new(&features, ROWS, WIDTH);
        let products = pairwise_products(x);
        let hessian = Hessian { curvatures: &[0.25, 0.1], penalty: 0.5 };
        for design in [Design::Features(x), Design::Products(Matrix::new(&products, ROWS, ROWS))] {
            let coefficients: Vec<f32> = (0..design.size() * 2).map(|at| (at * 29 % 13) as f32 - 6.0).collect();
            let logits = design.product(&coefficients, 2);
            let gradient = Solution { coefficients, logits, bias: vec![1.0, -2.0] };
            let divided = Preconditioner::new(&design).divide(&design, &gradient, &hessian);
            assert_eq!(divided.bias, [4.0, -20.0]);
            let weights = |solution: &Solution| match &design {
                Design::Features(_) => solution.coefficients.clone(),
                Design::Products(_) => narrow_product(x.transposed(), &solution.coefficients, 2),
            };
            // Multiplied by the Hessian again, in f64.
            let (expected, divided) = (weights(&gradient), weights(&divided));
            let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            for class in 0..2 {
                let said = |row: &[f32]| {
                    (0..WIDTH).map(|j| f64::from(row[j]) * f64::from(divided[j * 2 + class])).sum::<f64>()
                };
                for j in 0..WIDTH {
                    let curved: f64 = features.chunks(WIDTH).map(|row| f64::from(row[j]) * said(row)).sum();
                    let product = hessian.curvatures[class] * curved / ROWS as f64
                        + hessian.penalty * f64::from(divided[j * 2 + class]);
                    let difference = (product - f64::from(expected[j * 2 + class])).abs() / f64::from(largest);
                    assert!(difference < 5e-3, "{difference:.1e} at {j}, {class}, features: {}", design.has_features());
                }
            }
        }
    }

    #[test]
    fn rows_that_do_not_vary_are_divided_by_the_penalty() {
        let features = [0.0; 6];
        let design = Design::Features(Matrix::new(&features, 3, 2));
        let gradient = Solution { coefficients: vec![1.0, 2.0, 3.0, 4.0], logits: vec![0.0; 6], bias: vec![1.0, 1.0] };
        let hessian = Hessian { curvatures: &[0.5, 0.5], penalty: 0.5 };
        let divided = Preconditioner::new(&design).divide(&design, &gradient, &hessian);
        assert_eq!((divided.coefficients, divided.bias), (vec![2.0, 4.0, 6.0, 8.0], vec![2.0, 2.0]));
    }
}
