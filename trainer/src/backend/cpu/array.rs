//! The numbers that flow between layers, in memory that is used again.

use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};

use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::{DType, Element};

/// Numbers of a batch, all in one format. Cloning shares them; they go back to their pool when the last owner is gone.
///
/// Layers alone look inside, so an array on another device needs layers for that device and nothing else.
#[derive(Clone)]
pub(crate) struct Array(Arc<Buffer>);

struct Buffer {
    /// At least as many as are used.
    lines: Vec<Line>,
    used: usize,
    dtype: DType,
    pool: Pool,
}

/// A line of the cache. Vectors that begin with one are loaded faster than those that lie across two.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;

/// Memory between uses. A step of training needs the same sizes as the last one, and fresh pages cost as much as the
/// arithmetic on them.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<Line>>>>);

impl Pool {
    /// So many numbers, whatever they are.
    pub(crate) fn take(&self, length: usize) -> Result<Array, ExecError> {
        self.take_as::<f32>(length)
    }

    /// The same in a format.
    pub(crate) fn take_as<T: Element>(&self, length: usize) -> Result<Array, ExecError> {
        let count = (length * size_of::<T>()).div_ceil(LINE);
        let lines = match self.fitting(count) {
            Some(lines) => lines,
            None => allocate(count)?,
        };
        Ok(Array(Arc::new(Buffer { lines, used: length, dtype: T::DTYPE, pool: self.clone() })))
    }

    /// These numbers.
    pub(crate) fn copy(&self, numbers: &[f32]) -> Result<Array, ExecError> {
        let mut array = self.take(numbers.len())?;
        array.numbers_mut()?.copy_from_slice(numbers);
        Ok(array)
    }

    /// No numbers, which need no memory.
    pub(crate) fn empty(&self) -> Array {
        Array(Arc::new(Buffer { lines: vec![], used: 0, dtype: DType::F32, pool: self.clone() }))
    }

    /// The smallest that is large enough and wastes less than a quarter.
    fn fitting(&self, count: usize) -> Option<Vec<Line>> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = free.partition_point(|lines| lines.len() < count);
        let fits = free.get(first).is_some_and(|lines| lines.len() <= count + count / 4);
        fits.then(|| free.remove(first))
    }

    fn give_back(&self, lines: Vec<Line>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = free.partition_point(|other| other.len() < lines.len());
        free.insert(position, lines);
    }
}

/// Fresh memory, zeroed.
fn allocate(count: usize) -> Result<Vec<Line>, ExecError> {
    let mut lines = Vec::new();
    lines.try_reserve_exact(count).map_err(|_| ExecError::OutOfMemory { bytes: count * LINE })?;
    lines.resize(count, Line::zeroed());
    Ok(lines)
}

impl Array {
    pub(crate) fn dtype(&self) -> DType {
        self.0.dtype
    }

    pub(crate) fn len(&self) -> usize {
        self.0.used
    }

    pub(crate) fn numbers(&self) -> &[f32] {
        self.as_slice()
    }

    /// The numbers to be changed; a copy of them, if they are shared.
    pub(crate) fn numbers_mut(&mut self) -> Result<&mut [f32], ExecError> {
        self.as_mut_slice()
    }

    /// The numbers, of which the caller knows the format.
    pub(crate) fn as_slice<T: Element>(&self) -> &[T] {
        debug_assert_eq!(self.0.dtype, T::DTYPE);
        &bytemuck::cast_slice(&self.0.lines)[..self.0.used]
    }

    /// The same, to be changed; a copy of them, if they are shared.
    pub(crate) fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], ExecError> {
        debug_assert_eq!(self.0.dtype, T::DTYPE);
        if Arc::get_mut(&mut self.0).is_none() {
            let mut copy = self.0.pool.take_as::<T>(self.0.used)?;
            copy.as_mut_slice()?.copy_from_slice(self.as_slice::<T>());
            *self = copy;
        }
        Ok(match Arc::get_mut(&mut self.0) {
            Some(buffer) => &mut bytemuck::cast_slice_mut(&mut buffer.lines)[..buffer.used],
            None => &mut [],
        })
    }

    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_for_what_is_nearly_as_large() {
        let pool = Pool::default();
        drop(pool.copy(&[1.0; 100]).unwrap());
        assert_eq!(pool.take(90).unwrap().numbers(), [1.0; 90]);
        assert_eq!(pool.take(60).unwrap().numbers(), [0.0; 60]);
    }

    #[test]
    fn memory_that_there_is_not_is_an_error() {
        let error = Pool::default().take(usize::MAX >> 8).err().unwrap();
        assert!(matches!(error, ExecError::OutOfMemory { bytes } if bytes > usize::MAX >> 8), "{error}");
    }

    #[test]
    fn changing_a_shared_array_leaves_the_others_as_they_are() {
        let mut one = Pool::default().copy(&[1.0, 2.0]).unwrap();
        let other = one.clone();
        one.numbers_mut().unwrap()[0] = 5.0;
        assert_eq!((one.numbers(), other.numbers()), (&[5.0, 2.0][..], &[1.0, 2.0][..]));
    }
}
