//! Small symmetric matrices, row-major.

/// Rotations over all pairs, at most: convergence is quadratic, and far fewer do.
const SWEEPS: usize = 30;

/// The square of what a vector adds to those before it, relative to its own, at least: less is what rounding to f32 has left.
const LEAST: f64 = 1e-5;

/// What makes vectors with these products with each other, `[n, n]`, orthonormal: columns `[n, m]`. Vectors that hardly leave
/// the span of those before them are left out, so that `m` may be less.
pub(super) fn orthonormalizing(products: &[f64], n: usize) -> (Vec<f64>, usize) {
    // Gram-Schmidt on the products alone: `basis[j]` is a combination of the first vectors.
    let product = |a: &[f64], b: &[f64]| -> f64 {
        let row = |i: usize| (0..n).map(|j| products[i * n + j] * b[j]).sum::<f64>();
        (0..n).map(|i| a[i] * row(i)).sum()
    };
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for i in 0..n {
        let mut vector = vec![0.0; n];
        vector[i] = 1.0;
        // Twice, because once leaves what rounding has made of it.
        for _ in 0..2 {
            for other in &basis {
                let along = product(other, &vector);
                vector.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
            }
        }
        let square = product(&vector, &vector);
        if square > LEAST * products[i * n + i] && square > 0.0 {
            vector.iter_mut().for_each(|v| *v /= square.sqrt());
            basis.push(vector);
        }
    }
    let m = basis.len();
    ((0..n).flat_map(|i| basis.iter().map(move |vector| vector[i])).collect(), m)
}

/// The eigenvalues of a symmetric matrix `[n, n]`, the largest first, and its eigenvectors as columns, by Jacobi's rotations.
pub(super) fn eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = matrix.to_vec();
    let mut vectors: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
    let total: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| a[at] * a[at]).sum();
        if off <= 1e-24 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p * n + q] != 0.0 {
                    let turn = 0.5 * (2.0 * a[p * n + q] / (a[q * n + q] - a[p * n + p])).atan();
                    let (sin, cos) = turn.sin_cos();
                    let rotate = |numbers: &mut [f64], i: usize, j: usize| {
                        let (x, y) = (numbers[i], numbers[j]);
                        (numbers[i], numbers[j]) = (cos * x - sin * y, sin * x + cos * y);
                    };
                    (0..n).for_each(|k| rotate(&mut a, k * n + p, k * n + q));
                    (0..n).for_each(|k| rotate(&mut a, p * n + k, q * n + k));
                    (0..n).for_each(|k| rotate(&mut vectors, k * n + p, k * n + q));
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    (values, (0..n).flat_map(|row| order.iter().map(|&i| vectors[row * n + i]).collect::<Vec<f64>>()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_and_vectors_of_a_matrix_that_is_known() {
        // A path of three points: 2 - 2 cos(kπ/4) on paper.
        let matrix = [2., -1., 0., -1., 2., -1., 0., -1., 2.];
        let (values, vectors) = eigen(&matrix, 3);
        let root = 2.0_f64.sqrt();
        assert!(
            values.iter().zip([2.0 + root, 2.0, 2.0 - root]).all(|(value, expected)| (value - expected).abs() < 1e-12)
        );
        for (k, value) in values.iter().enumerate() {
            let vector = [0, 1, 2].map(|i| vectors[i * 3 + k]);
            assert!((vector.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-12);
            for i in 0..3 {
                let product: f64 = (0..3).map(|j| matrix[i * 3 + j] * vector[j]).sum();
                assert!((product - value * vector[i]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn vectors_become_orthonormal_and_what_adds_nothing_is_left_out() {
        // (3, 0), (3, 4), and the sum of both.
        let vectors = [[3.0, 0.0], [3.0, 4.0], [6.0, 4.0_f64]];
        let products: Vec<f64> =
            vectors.iter().flat_map(|a| vectors.map(|b| a.iter().zip(b).map(|(a, b)| a * b).sum())).collect();
        let (basis, m) = orthonormalizing(&products, 3);
        assert_eq!(m, 2);
        let combined =
            |column: usize| [0, 1].map(|x| (0..3).map(|i| basis[i * m + column] * vectors[i][x]).sum::<f64>());
        assert!(
            combined(0)
                .iter()
                .chain(&combined(1))
                .zip([1.0, 0.0, 0.0, 1.0])
                .all(|(x, e): (&f64, f64)| (x - e).abs() < 1e-12)
        );
    }
}
