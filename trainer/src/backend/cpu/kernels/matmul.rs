//! Matrix products through the kernels of the `gemm` crates.

/// A matrix in memory: its numbers, and how far apart rows and columns are.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, row-major.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows}x{columns} matrix of {} numbers", data.len());
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = a · b`, or `out += a · b`, with `out` of `[a.rows, b.columns]`, row-major.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatmulMode {
    Overwrite,
    Accumulate,
}

/// The product of two matrices, on all threads; how it is divided among them does not change the result.
#[expect(unsafe_code, reason = "gemm's only interface takes pointers and strides")]
pub(crate) fn matmul(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], mode: MatmulMode) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    assert_eq!(out.len(), a.rows * b.columns, "the output of a product");
    let stride = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    let multiply = gemm_f32::gemm::f32::get_gemm_fn();
    // The kernels write columns fastest, so what they are asked for is `outᵀ = bᵀ · aᵀ`, which is `out` in memory.
    // SAFETY: `Matrix::new` and `transposed` keep every (row, column) of `a` and `b` within their slices, and `out` was
    // just checked to hold `a.rows x b.columns` row-major numbers. `out` is borrowed mutably, so nothing aliases it.
    unsafe {
        multiply(
            b.columns,
            a.rows,
            a.columns,
            out.as_mut_ptr(),
            stride(b.columns),
            1,
            mode == MatmulMode::Accumulate,
            b.data.as_ptr(),
            stride(b.row_stride),
            stride(b.column_stride),
            a.data.as_ptr(),
            stride(a.row_stride),
            stride(a.column_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::Rayon(0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        // As large as the last layers of VGG are wide, for a batch.
        let numbers =
            |count: usize| (0..count).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect::<Vec<f32>>();
        let (a, b) = (numbers(33 * 2500), numbers(2500 * 700));
        let product = |threads: usize| {
            let mut out = vec![0.0; 33 * 700];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                matmul(Matrix::new(&a, 33, 2500), Matrix::new(&b, 2500, 700), &mut out, MatmulMode::Overwrite)
            });
            out
        };
        let one = product(1);
        assert!([2, 3, 5].into_iter().all(|threads| product(threads) == one));
    }

    #[test]
    fn products_with_and_without_transposition() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, -1.0, 0.0, 2.0, 3.0, 1.0];
        let mut out = [0.0; 4];
        matmul(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), &mut out, MatmulMode::Overwrite);
        assert_eq!(out, [10.0, 6.0, 22.0, 12.0]);
        matmul(Matrix::new(&a, 3, 2).transposed(), Matrix::new(&b, 3, 2), &mut out, MatmulMode::Accumulate);
        assert_eq!(out, [10.0 + 16.0, 6.0 + 10.0, 22.0 + 20.0, 12.0 + 12.0]);
    }
}
