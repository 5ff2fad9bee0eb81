//! The numbers that flow between layers, in memory that is used again.

use std::sync::{Arc, Mutex, PoisonError};

/// Numbers of a batch. Cloning shares them; they go back to their pool when the last owner is gone.
///
/// Layers alone look inside, so an array on another device needs layers for that device and nothing else.
#[derive(Clone)]
pub(crate) struct Array(Arc<Buffer>);

struct Buffer {
    /// At least as many as are used.
    numbers: Vec<f32>,
    used: usize,
    pool: Pool,
}

/// Memory between uses. A step of training needs the same sizes as the last one, and fresh pages cost as much as the
/// arithmetic on them.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<f32>>>>);

impl Pool {
    /// So many numbers, whatever they are.
    pub(crate) fn take(&self, length: usize) -> Array {
        let numbers = self.fitting(length).unwrap_or_else(|| vec![0.0; length]);
        Array(Arc::new(Buffer { numbers, used: length, pool: self.clone() }))
    }

    /// These numbers.
    pub(crate) fn copy(&self, numbers: &[f32]) -> Array {
        let mut array = self.take(numbers.len());
        array.numbers_mut().copy_from_slice(numbers);
        array
    }

    /// The smallest that is large enough and wastes less than a quarter.
    fn fitting(&self, length: usize) -> Option<Vec<f32>> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = free.partition_point(|numbers| numbers.len() < length);
        let fits = free.get(first).is_some_and(|numbers| numbers.len() <= length + length / 4);
        fits.then(|| free.remove(first))
    }

    fn give_back(&self, numbers: Vec<f32>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = free.partition_point(|other| other.len() < numbers.len());
        free.insert(place, numbers);
    }
}

impl Array {
    pub(crate) fn numbers(&self) -> &[f32] {
        &self.0.numbers[..self.0.used]
    }

    /// The numbers to be changed; a copy of them, if they are shared.
    pub(crate) fn numbers_mut(&mut self) -> &mut [f32] {
        if Arc::get_mut(&mut self.0).is_none() {
            let numbers = self.numbers();
            let mut copy = self.0.pool.fitting(numbers.len()).unwrap_or_else(|| vec![0.0; numbers.len()]);
            copy[..numbers.len()].copy_from_slice(numbers);
            self.0 = Arc::new(Buffer { numbers: copy, used: numbers.len(), pool: self.0.pool.clone() });
        }
        match Arc::get_mut(&mut self.0) {
            Some(buffer) => &mut buffer.numbers[..buffer.used],
            None => &mut [],
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.numbers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_for_what_is_nearly_as_large() {
        let pool = Pool::default();
        drop(pool.copy(&[1.0; 100]));
        assert_eq!(pool.take(90).numbers(), [1.0; 90]);
        assert_eq!(pool.take(70).numbers(), [0.0; 70]);
    }

    #[test]
    fn changing_a_shared_array_leaves_the_others_as_they_are() {
        let mut one = Pool::default().copy(&[1.0, 2.0]);
        let other = one.clone();
        one.numbers_mut()[0] = 5.0;
        assert_eq!((one.numbers(), other.numbers()), (&[5.0, 2.0][..], &[1.0, 2.0][..]));
    }
}
