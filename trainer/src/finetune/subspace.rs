//! The subspace in which the features of a set of images vary most, and how far outside of it others are.

use models::vectorized;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::backend::cpu::kernels::dot::dot;
use crate::backend::cpu::kernels::matmul::{MatmulMode, Matrix, matmul};

/// Directions, at most, and how many features and images each needs.
const DIRECTIONS: usize = 64;
const FEATURES_EACH: usize = 4;
const IMAGES_EACH: usize = 8;
/// Multiplications by the covariance. The directions are then those of the largest variances but for the last ones, which hardly
/// differ from the next ones.
const POWERS: usize = 3;
/// More images than these hardly change the directions; they would take time and memory.
const MOST_ROWS: usize = 4096;
/// Rows whose distances are computed at a time.
const CHUNK: usize = 256;
/// What must be left of a direction without those before it, relative to its length: less is rounding.
const LEAST: f64 = 1e-3;

/// The main directions of features, and their mean.
#[derive(Debug, Clone)]
pub(super) struct Subspace {
    /// `[width]`.
    pub(super) mean: Vec<f32>,
    /// `[count, width]`, orthonormal.
    pub(super) directions: Vec<f32>,
}

impl Subspace {
    /// That of rows of features, by a power of their covariance times random vectors (Halko et al. 2011, algorithm 4.4). `None`
    /// for features too few or too narrow to have main directions.
    pub(super) fn of(rows: &[&[f32]]) -> Option<Self> {
        let rows: Vec<&[f32]> = rows.iter().step_by(rows.len().div_ceil(MOST_ROWS).max(1)).copied().collect();
        let (n, width) = (rows.len(), rows.first()?.len());
        let count = DIRECTIONS.min(width / FEATURES_EACH).min(n / IMAGES_EACH);
        if count == 0 {
            return None;
        }
        let mean = mean(&rows);
        let centered = centered(rows, &mean);
        let rows = Matrix::new(&centered, n, width);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut directions: Vec<f32> = (0..count * width).map(|_| rng.random::<f32>() - 0.5).collect();
        for _ in 0..POWERS {
            let count = directions.len() / width;
            let along = product(rows, Matrix::new(&directions, count, width).transposed());
            directions = product(Matrix::new(&along, n, count).transposed(), rows);
            orthonormalize(&mut directions, width);
        }
        (!directions.is_empty()).then_some(Self { mean, directions })
    }

    /// How many directions there are.
    pub(super) fn count(&self) -> usize {
        self.directions.len() / self.mean.len()
    }

    /// Of each row of features `[n, width]` the length of what is in none of the directions.
    pub(super) fn distances(&self, features: &[f32]) -> Vec<f32> {
        let (width, count) = (self.mean.len(), self.count());
        let directions = Matrix::new(&self.directions, count, width);
        let mut distances = Vec::with_capacity(features.len() / width);
        for chunk in features.chunks(CHUNK * width) {
            let mut rest = centered(chunk.chunks(width), &self.mean);
            let n = rest.len() / width;
            let mut along = product(Matrix::new(&rest, n, width), directions.transposed());
            along.iter_mut().for_each(|x| *x = -*x);
            matmul(Matrix::new(&along, n, count), directions, &mut rest, MatmulMode::Accumulate);
            distances.extend(rest.chunks(width).map(|row| dot(row, row).sqrt() as f32));
        }
        distances
    }
}

fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.columns];
    matmul(a, b, &mut out, MatmulMode::Overwrite);
    out
}

fn mean(rows: &[&[f32]]) -> Vec<f32> {
    let mut sums = vec![0.0_f64; rows.first().map_or(0, |row| row.len())];
    vectorized!({
        for row in rows {
            sums.iter_mut().zip(*row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
    });
    sums.into_iter().map(|sum| (sum / rows.len() as f64) as f32).collect()
}

fn centered<'a>(rows: impl IntoIterator<Item = &'a [f32]>, mean: &[f32]) -> Vec<f32> {
    rows.into_iter().flat_map(|row| row.iter().zip(mean).map(|(x, mean)| x - mean)).collect()
}

/// Gram-Schmidt over the rows. Those that hardly leave the span of the ones before them are dropped.
fn orthonormalize(rows: &mut Vec<f32>, width: usize) {
    let mut kept = 0;
    for at in 0..rows.len() / width {
        let (basis, rest) = rows.split_at_mut(at * width);
        let row = &mut rest[..width];
        let length = dot(row, row).sqrt();
        // Twice, because once leaves what rounding has made of it.
        for _ in 0..2 {
            for other in basis[..kept * width].chunks(width) {
                let along = dot(other, row) as f32;
                vectorized!({
                    row.iter_mut().zip(other).for_each(|(x, other)| *x -= along * other);
                });
            }
        }
        let left = dot(row, row).sqrt();
        if left > LEAST * length {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / left) as f32);
            rows.copy_within(at * width..(at + 1) * width, kept * width);
            kept += 1;
        }
    }
    rows.truncate(kept * width);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(features: &[f32], width: usize) -> Option<Subspace> {
        Subspace::of(&features.chunks(width).collect::<Vec<_>>())
    }

    /// Sixteen points of a plane in a space of eight dimensions, around (1, 1, …): 3 and 2 along the first two axes.
    fn plane() -> Vec<f32> {
        let row = |at: usize| {
            let angle = at as f32 * std::f32::consts::TAU / 16.0;
            let mut row = [1.0; 8];
            row[0] += 3.0 * angle.cos();
            row[1] += 2.0 * angle.sin();
            row
        };
        (0..16).flat_map(row).collect()
    }

    #[test]
    fn distances_are_measured_from_the_plane_in_which_all_others_are() {
        let subspace = of(&plane(), 8).unwrap();
        assert_eq!(subspace.count(), 2);
        // Sums of sixteen numbers of a few units in f32.
        assert!(subspace.mean.iter().all(|mean| (mean - 1.0).abs() < 1e-6), "{:?}", subspace.mean);
        // In the plane, far from the others in it; 3 and 4 along two other axes.
        let distances =
            subspace.distances(&[[9.0, -5.0, 1., 1., 1., 1., 1., 1.], [1., 1., 4.0, 1., 5.0, 1., 1., 1.]].concat());
        assert!(distances[0] < 1e-5 && (distances[1] - 5.0).abs() < 1e-5, "{distances:?}");
    }

    #[test]
    fn features_without_main_directions_have_no_subspace() {
        assert!(of(&[], 8).is_none());
        assert!(of(&[0.5; 7 * 8], 8).is_none());
        assert!(of(&[0.5; 3 * 100], 3).is_none());
        // They never vary.
        assert!(of(&[0.5; 8 * 100], 8).is_none());
    }
}
