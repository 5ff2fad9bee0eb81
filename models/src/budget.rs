//! How much memory a file may ask for.

use thiserror::Error;

/// The memory that reading a file may allocate beside the file itself, as a multiple of its size. Half-precision numbers
/// double when they become `f32`, as does a tensor that two names share; compressed files grow once more.
pub const MEMORY_FACTOR: u64 = 4;

/// The memory that reading any file may allocate, however small it is, in bytes.
pub const MEMORY_FLOOR: u64 = 64 << 20;

/// Reading the file would allocate more memory than [`MEMORY_FACTOR`] and [`MEMORY_FLOOR`] allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the file is {file} bytes long and asks for more than {limit} bytes of memory; it is damaged, or made to exhaust \
     memory"
)]
pub struct TooLarge {
    /// The size of the file.
    pub file: u64,
    /// The limit in bytes.
    pub limit: u64,
}

/// The memory that reading a file may still allocate. Readers charge every allocation whose size the file decides before
/// they make it.
#[derive(Debug)]
pub(crate) struct Budget {
    file: u64,
    limit: u64,
    left: u64,
}

impl Budget {
    /// For a file of this many bytes.
    pub(crate) fn new(file: usize) -> Self {
        let file = file as u64;
        let limit = file.saturating_mul(MEMORY_FACTOR).saturating_add(MEMORY_FLOOR);
        Self { file, limit, left: limit }
    }

    /// Charges an allocation of this many bytes.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), TooLarge> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(TooLarge { file: self.file, limit: self.limit }),
        }
    }

    /// Charges a tensor of this shape as `f32`, and returns how many numbers it has.
    pub(crate) fn tensor(&mut self, shape: &[usize]) -> Result<usize, TooLarge> {
        // Zeros are left out of the check: a dimension of zero must not hide an overflow among the others, which would
        // show itself where the product is taken.
        let nonzero = shape.iter().filter(|&&dim| dim > 0).try_fold(1u64, |count, &dim| count.checked_mul(dim as u64));
        let count = match nonzero {
            Some(_) if shape.contains(&0) => 0,
            Some(count) => count,
            None => u64::MAX,
        };
        self.spend(count.saturating_mul(size_of::<f32>() as u64))?;
        Ok(count as usize)
    }

    /// The remaining memory in bytes.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_what_it_weighs_and_no_more() {
        let mut budget = Budget::new(1000);
        assert_eq!(budget.tensor(&[2, 3]), Ok(6));
        assert_eq!(budget.tensor(&[]), Ok(1));
        assert_eq!(budget.tensor(&[usize::MAX, usize::MAX, 0]), Err(TooLarge { file: 1000, limit: 4000 + (64 << 20) }));
        assert_eq!(budget.tensor(&[1 << 40, 0]), Ok(0));
        assert_eq!(budget.left(), 4000 + (64 << 20) - 28);
        let refused = TooLarge { file: 1000, limit: 4000 + (64 << 20) };
        assert_eq!(budget.tensor(&[1 << 25]), Err(refused));
        assert_eq!(budget.spend(budget.left()), Ok(()));
        assert_eq!(budget.spend(1), Err(refused));
    }
}
