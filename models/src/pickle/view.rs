//! A tensor as PyTorch stores it: a view of a storage.

use std::borrow::Cow;

/// A block of numbers outside of the pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    /// The name of its class, such as `FloatStorage`.
    pub(crate) class: &'a str,
    /// What it is filed under.
    pub(crate) key: &'a str,
    /// Where it begins in what is filed there, in elements. Nought but in files of PyTorch 0.1, where a storage could
    /// be a part of another.
    pub(crate) offset: usize,
}

/// Which elements of a storage are a tensor's, and in which order: `offset + Σ index · stride`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StridedView<'a> {
    pub(crate) storage: Storage<'a>,
    /// In elements, from the storage's beginning.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// In elements, as many as there are dimensions.
    pub(crate) strides: Vec<usize>,
}

impl StridedView<'_> {
    /// The bytes of the elements, row-major, out of those of the storage; none where the view reaches past its end. The
    /// caller has paid for a tensor of this shape.
    pub(crate) fn bytes<'b>(&self, storage: &'b [u8], element: usize) -> Option<Cow<'b, [u8]>> {
        if self.shape.contains(&0) {
            return Some(Cow::Borrowed(&[]));
        }
        // A dimension of one moves nothing, whatever its stride.
        let axes: Vec<StridedAxis> = std::iter::zip(&self.shape, &self.strides)
            .filter(|(length, _)| **length > 1)
            .map(|(&length, &stride)| StridedAxis { length, stride, index: 0 })
            .collect();
        let first = self.storage.offset.checked_add(self.offset)?;
        let last =
            axes.iter().try_fold(first, |last, axis| last.checked_add((axis.length - 1).checked_mul(axis.stride)?))?;
        // Everything up to the last element is there, so no position below can overflow.
        let storage = storage.get(..last.checked_add(1)?.checked_mul(element)?)?;
        if is_row_major(&axes) {
            return Some(Cow::Borrowed(&storage[first * element..]));
        }
        Some(Cow::Owned(gather(&storage[first * element..], axes, element)))
    }
}

struct StridedAxis {
    length: usize,
    stride: usize,
    index: usize,
}

fn is_row_major(axes: &[StridedAxis]) -> bool {
    let mut expected = 1;
    axes.iter().rev().all(|axis| {
        let dense = axis.stride == expected;
        expected *= axis.length;
        dense
    })
}

/// Copies elements of this many bytes one by one, the last axis fastest.
fn gather(storage: &[u8], mut axes: Vec<StridedAxis>, element: usize) -> Vec<u8> {
    let count = axes.iter().map(|axis| axis.length).product::<usize>();
    let mut elements = Vec::with_capacity(count * element);
    let mut at = 0;
    for _ in 0..count {
        elements.extend_from_slice(&storage[at * element..][..element]);
        for axis in axes.iter_mut().rev() {
            axis.index += 1;
            at += axis.stride;
            if axis.index < axis.length {
                break;
            }
            at -= axis.stride * axis.length;
            axis.index = 0;
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of a view of the storage 0, 1, 2, … 11, of a byte each.
    fn elements(offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<u8>> {
        let storage = Storage { class: "ByteStorage", key: "0", offset: 0 };
        let view = StridedView { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() };
        let bytes: Vec<u8> = (0..12).collect();
        view.bytes(&bytes, 1).map(Cow::into_owned)
    }

    #[test]
    fn a_view_takes_what_its_strides_say() {
        assert_eq!(elements(2, &[2, 3], &[3, 1]).unwrap(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(elements(0, &[3, 2], &[1, 3]).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(elements(1, &[2, 2, 2], &[6, 0, 2]).unwrap(), [1, 3, 1, 3, 7, 9, 7, 9]);
        assert_eq!(elements(11, &[], &[]).unwrap(), [11]);
        assert_eq!(elements(0, &[1, 2], &[usize::MAX, 1]).unwrap(), [0, 1]);
        assert_eq!(elements(usize::MAX, &[3, 0], &[1, 1]).unwrap(), [0u8; 0]);
    }

    #[test]
    fn a_view_past_the_end_is_none() {
        for (offset, shape, strides) in [
            (12, &[][..], &[][..]),
            (7, &[2, 3], &[3, 1]),
            (0, &[2], &[12]),
            (usize::MAX, &[2], &[1]),
            (0, &[3], &[usize::MAX]),
            (1, &[2, 2], &[usize::MAX / 2, usize::MAX / 2]),
        ] {
            assert_eq!(elements(offset, shape, strides), None, "{offset} {shape:?} {strides:?}");
        }
    }
}
