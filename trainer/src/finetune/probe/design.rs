//! The matrix of a regression.

use crate::backend::cpu::kernels::matmul::{MatmulMode, Matrix, matmul};

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
        product(self.matrix(), Matrix::new(coefficients, self.size(), count))
    }

    /// The derivatives by the coefficients, `[size, count]`, of what has these derivatives by the logits, `[n, count]`. Of
    /// products, they are told as coefficients too.
    pub(super) fn transposed_product(&self, residuals: Vec<f32>, count: usize) -> Vec<f32> {
        match self {
            Design::Features(features) => product(features.transposed(), Matrix::new(&residuals, self.rows(), count)),
            Design::Products(_) => residuals,
        }
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
