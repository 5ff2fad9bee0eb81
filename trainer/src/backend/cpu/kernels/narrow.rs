//! Products with a matrix of few columns, such as one for each class. General kernels pack the large matrix anew for each
//! product, which takes longer than to go through it once.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::dot::dot;
use super::matmul::{MatmulMode, Matrix, matmul};
use super::simd::{arch, lanes};

/// From here on the columns are not few.
const COLUMNS: usize = 96;
/// Columns beyond whole registers that are cheaper one by one than in a register that they hardly fill.
const LONE: usize = 2;
/// Registers of columns that a tile holds.
const REGISTERS: usize = 3;
/// Rows of the narrow matrix that stay in the cache while the rows of the other one pass.
const DEPTH: usize = 256;
/// Rows of the result that one thread computes at a time.
const ROWS: usize = 48;
/// Multiplications that are not worth a second thread.
const SMALL: usize = 1 << 20;

/// `a · b`, row-major; `b` is `[a.columns, count]`, row-major. How it is divided among threads does not change the result.
pub(crate) fn narrow_product(a: Matrix<'_>, b: &[f32], count: usize) -> Vec<f32> {
    assert_eq!(b.len(), a.columns * count, "the right side of a product");
    if b.is_empty() {
        return vec![0.0; a.rows * count];
    }
    if count > COLUMNS {
        let mut out = vec![0.0; a.rows * count];
        matmul(a, Matrix::new(b, a.columns, count), &mut out, MatmulMode::Overwrite);
        return out;
    }
    let panels = Panels::new(b, count);
    let padded = panels.padded();
    let mut out = vec![0.0; a.rows * padded];
    let job = |(band, out): (usize, &mut [f32])| {
        let rows = band * ROWS..(band * ROWS + ROWS).min(a.rows);
        arch().dispatch(Job { a, rows, panels: &panels, out });
    };
    let bands = ROWS * padded;
    if a.rows * a.columns * padded <= SMALL {
        out.chunks_mut(bands.max(1)).enumerate().for_each(job);
    } else {
        out.par_chunks_mut(bands).enumerate().for_each(job);
    }
    if padded > count {
        for row in 1..a.rows {
            out.copy_within(row * padded..row * padded + count, row * count);
        }
        out.truncate(a.rows * count);
    }
    out
}

/// The narrow matrix in groups of columns, each filled up with zeros to whole registers, and columns by themselves.
struct Panels {
    numbers: Vec<f32>,
    depth: usize,
    /// The columns in registers.
    wide: usize,
    /// `[columns, depth]` of the others.
    lone: Vec<f32>,
}

impl Panels {
    fn new(b: &[f32], count: usize) -> Self {
        let depth = b.len() / count;
        let lone = if count % lanes() <= LONE { count % lanes() } else { 0 };
        let own = count - lone;
        let wide = own.next_multiple_of(lanes());
        let mut numbers = Vec::with_capacity(depth * wide);
        for first in (0..wide).step_by(REGISTERS * lanes()) {
            let width = (wide - first).min(REGISTERS * lanes());
            let filled = width.min(own - first);
            for row in b.chunks(count) {
                numbers.extend_from_slice(&row[first..first + filled]);
                numbers.resize(numbers.len() + width - filled, 0.0);
            }
        }
        let lone = (own..count).flat_map(|column| b.iter().skip(column).step_by(count).copied()).collect();
        Self { numbers, depth, wide, lone }
    }

    /// How many columns the result has with those that only fill registers up.
    fn padded(&self) -> usize {
        self.wide + self.lone.len() / self.depth
    }
}

/// Some rows of the result.
struct Job<'a> {
    a: Matrix<'a>,
    rows: Range<usize>,
    panels: &'a Panels,
    /// `[rows, padded]`
    out: &'a mut [f32],
}

impl WithSimd for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, rows, panels, out } = self;
        let Panels { numbers, depth, wide, lone } = panels;
        let stride = panels.padded();
        for start in (0..*depth).step_by(DEPTH) {
            let inner = start..(start + DEPTH).min(*depth);
            for first in (0..*wide).step_by(REGISTERS * S::F32_LANES) {
                let width = (wide - first).min(REGISTERS * S::F32_LANES);
                let panel = &numbers[first * depth..][inner.start * width..inner.end * width];
                let block = Block { a, rows: rows.clone(), inner: inner.clone(), panel, stride };
                let out = &mut out[first..];
                // One sum more than there are registers for makes the loop wait for memory.
                match (width / S::F32_LANES, S::REGISTER_COUNT >= 32) {
                    (1, _) => block.add::<S, 8, 1>(simd, out),
                    (2, false) => block.add::<S, 4, 2>(simd, out),
                    (2, true) => block.add::<S, 8, 2>(simd, out),
                    (_, false) => block.add::<S, 3, 3>(simd, out),
                    (_, true) => block.add::<S, 6, 3>(simd, out),
                }
            }
        }
        for (at, column) in lone.chunks(*depth).enumerate() {
            let sums = out[wide + at..].iter_mut().step_by(stride);
            if a.column_stride == 1 {
                let row = |row: usize| &a.data[row * a.row_stride..][..*depth];
                sums.zip(rows.clone()).for_each(|(sum, number)| *sum = dot(row(number), column) as f32);
            } else {
                sums.zip(combination(a, rows.clone(), column)).for_each(|(sum, new)| *sum = new);
            }
        }
    }
}

/// Rows of the product of a matrix with one column: the columns of the matrix, weighted by its numbers.
#[inline(always)]
fn combination(a: Matrix<'_>, rows: Range<usize>, column: &[f32]) -> [f32; ROWS] {
    let mut sums = [0.0; ROWS];
    for (k, weight) in column.iter().enumerate() {
        let numbers = &a.data[k * a.column_stride + rows.start * a.row_stride..];
        match numbers.first_chunk::<ROWS>() {
            // As many as there are sums, so that the sums stay in registers.
            Some(numbers) if a.row_stride == 1 => {
                for (sum, x) in sums.iter_mut().zip(numbers) {
                    *sum += x * weight;
                }
            }
            _ => {
                for (sum, x) in sums.iter_mut().zip(numbers.iter().step_by(a.row_stride)) {
                    *sum += x * weight;
                }
            }
        }
    }
    sums
}

/// A part of the sums of some rows and columns of the result.
struct Block<'a> {
    a: Matrix<'a>,
    rows: Range<usize>,
    /// What is summed over.
    inner: Range<usize>,
    /// Those rows of the narrow matrix.
    panel: &'a [f32],
    /// How far apart rows of the result are.
    stride: usize,
}

impl Block<'_> {
    /// Adds the products to all rows, `M` at a time, and to `V` registers of columns.
    #[inline(always)]
    fn add<S: Simd, const M: usize, const V: usize>(self, simd: S, out: &mut [f32]) {
        let mut row = 0;
        while row + M <= self.rows.len() {
            self.tile::<S, M, V>(simd, row, out);
            row += M;
        }
        while row < self.rows.len() {
            self.tile::<S, 1, V>(simd, row, out);
            row += 1;
        }
    }

    /// Adds the products to `M` rows.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(&self, simd: S, row: usize, out: &mut [f32]) {
        let Self { a, ref rows, ref inner, panel, stride } = *self;
        let (out, row) = (&mut out[row * stride..], rows.start + row);
        let (panel, _) = S::as_simd_f32s(panel);
        let (panel, _) = pulp::as_arrays::<V, _>(panel);
        let mut sums: [[S::f32s; V]; M] = std::array::from_fn(|m| {
            let (sums, _) = S::as_simd_f32s(&out[m * stride..][..V * S::F32_LANES]);
            std::array::from_fn(|v| sums[v])
        });
        if a.column_stride == 1 {
            // Equal lengths of all of them, so that the loop has no bounds to check.
            let count = inner.len();
            let rows: [&[f32]; M] = std::array::from_fn(|m| &a.data[(row + m) * a.row_stride + inner.start..][..count]);
            for (k, b) in panel[..count].iter().enumerate() {
                for m in 0..M {
                    let x = simd.splat_f32s(rows[m][k]);
                    for v in 0..V {
                        sums[m][v] = simd.mul_add_f32s(x, b[v], sums[m][v]);
                    }
                }
            }
        } else {
            for (k, b) in inner.clone().zip(panel) {
                let Some(column) = a.data[k * a.column_stride + row * a.row_stride..].get(..(M - 1) * a.row_stride + 1)
                else {
                    return;
                };
                for m in 0..M {
                    let x = simd.splat_f32s(column[m * a.row_stride]);
                    for v in 0..V {
                        sums[m][v] = simd.mul_add_f32s(x, b[v], sums[m][v]);
                    }
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            let (out, _) = S::as_mut_simd_f32s(&mut out[m * stride..][..V * S::F32_LANES]);
            out.copy_from_slice(&sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose sums are exact.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919) % 17) as f32 - 8.0).collect()
    }

    fn expected(a: Matrix<'_>, b: &[f32], count: usize) -> Vec<f32> {
        let at = |row: usize, k: usize| a.data[row * a.row_stride + k * a.column_stride];
        let sum = |row: usize, column: usize| (0..a.columns).map(|k| at(row, k) * b[k * count + column]).sum();
        (0..a.rows).flat_map(|row| (0..count).map(move |column| sum(row, column))).collect()
    }

    #[test]
    fn products_of_all_widths_with_and_without_transposition() {
        for (rows, depth) in [(1, 1), (5, 3), (67, 300), (130, 257)] {
            let a = numbers(rows * depth);
            for count in [1, 2, 3, 8, 9, 17, 18, 24, 25, 40, 97] {
                let b = numbers(depth * count);
                for a in [Matrix::new(&a, rows, depth), Matrix::new(&a, depth, rows).transposed()] {
                    assert_eq!(narrow_product(a, &b, count), expected(a, &b, count), "{rows}x{depth}x{count}");
                }
            }
        }
        assert_eq!(narrow_product(Matrix::new(&[], 0, 3), &[1.0; 6], 2), Vec::<f32>::new());
        assert_eq!(narrow_product(Matrix::new(&[], 3, 0), &[], 2), [0.0; 6]);
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let a: Vec<f32> = (0..700 * 300).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        let product = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| narrow_product(Matrix::new(&a, 700, 300), &a[..300 * 17], 17))
        };
        let one = product(1);
        assert!([2, 3, 5].into_iter().all(|threads| product(threads) == one));
    }
}
