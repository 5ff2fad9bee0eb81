//! The matrix of a regression.

use super::solution::Solution;
use crate::backend::cpu::kernels::matmul::{MatmulMode, Matrix, matmul};
use crate::backend::cpu::kernels::narrow::narrow_product;

/// Rows of products that are computed at a time.
const BLOCK: usize = 256;

/// How logits depend on coefficients.
pub(super) enum Design<'a> {
    /// Rows of features, `[n, width]`: coefficients are weights.
    Features(Matrix<'a>),
    /// The products of all pairs of rows, `[n, n]`: weights are sums of rows, and coefficients say of which. The weights
    /// with the least penalized loss are such sums (Schölkopf et al. 2001, the representer theorem), so with fewer rows than
    /// features nothing is lost, and the cost no longer grows with the features.
    Products(Matrix<'a>),
}

impl Design<'_> {
    /// How many rows of features there are.
    pub(super) fn rows(&self) -> usize {
        self.matrix().rows
    }

    /// How many coefficients a class has.
    pub(super) fn size(&self) -> usize {
        self.matrix().columns
    }

    /// Logits `[n, count]` of coefficients `[size, count]`.
    pub(super) fn product(&self, coefficients: &[f32], count: usize) -> Vec<f32> {
        narrow_product(self.matrix(), coefficients, count)
    }

    /// The derivatives by the coefficients, `[size, count]`, of what has these derivatives by the logits, `[n, count]`. Of
    /// products, they are told as coefficients too.
    pub(super) fn transposed_product(&self, residuals: Vec<f32>, count: usize) -> Vec<f32> {
        match self {
            Design::Features(features) => narrow_product(features.transposed(), &residuals, count),
            Design::Products(_) => residuals,
        }
    }

    /// What coefficients are multiplied by, and summed, for the product of their weights with those of a solution.
    pub(super) fn dual<'s>(&self, solution: &'s Solution) -> &'s [f32] {
        if self.has_features() { &solution.coefficients } else { &solution.logits }
    }

    /// Whether coefficients are weights.
    pub(super) fn has_features(&self) -> bool {
        matches!(self, Design::Features(_))
    }

    fn matrix(&self) -> Matrix<'_> {
        match self {
            Design::Features(matrix) | Design::Products(matrix) => *matrix,
        }
    }
}

/// The product of two matrices, row-major.
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.columns];
    matmul(a, b, &mut out, MatmulMode::Overwrite);
    out
}

/// The products of all pairs of rows, `[n, n]`.
pub(super) fn pairwise_products(rows: Matrix<'_>) -> Vec<f32> {
    let (n, width) = (rows.rows, rows.columns);
    let mut products = vec![0.0; n * n];
    // Blocks on and below the diagonal; what is above is the same.
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let [block, before] =
            [start..end, 0..end].map(|r| Matrix::new(&rows.data[r.start * width..r.end * width], r.len(), width));
        for (row, own) in product(block, before.transposed()).chunks(end).enumerate() {
            products[(start + row) * n..][..end].copy_from_slice(own);
        }
    }
    for row in 0..n {
        for column in row + 1..n {
            products[row * n + column] = products[column * n + row];
        }
    }
    products
}
