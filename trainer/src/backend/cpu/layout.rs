//! Where a tensor's numbers are in memory.
//!
//! The graph's shapes begin with the channels, as PyTorch's do. In memory the channels come last, whatever the number of
//! dimensions, so that what is done to all channels of a pixel is done to neighbours.

use models::ops::Shape;

use super::kernels::strided::{StridedCopy, View};

/// How far apart neighbours along each dimension of the graph's shape are.
pub(super) fn strides(shape: &Shape) -> Vec<isize> {
    let dims = shape.dims();
    let mut strides = vec![1; dims.len()];
    let mut stride = dims.first().copied().unwrap_or(1);
    for axis in (1..dims.len()).rev() {
        strides[axis] = stride as isize;
        stride *= dims[axis];
    }
    strides
}

/// The same for numbers that lie as the graph's shape says.
pub(super) fn row_major(shape: &Shape) -> Vec<isize> {
    let mut stride = 1;
    let mut strides: Vec<isize> = Vec::with_capacity(shape.dims().len());
    for &dim in shape.dims().iter().rev() {
        strides.push(stride as isize);
        stride *= dim;
    }
    strides.reverse();
    strides
}

/// Whether both orders are one.
pub(super) fn is_row_major(shape: &Shape) -> bool {
    let dims = shape.dims();
    dims.first().is_none_or(|&channels| channels == 1 || dims[1..].iter().all(|&dim| dim == 1))
}

/// Channels, and how many of each there are in an image.
pub(in crate::backend) fn channels(shape: &Shape) -> (usize, usize) {
    let channels = shape.dims().first().copied().unwrap_or(1).max(1);
    (channels, shape.len() / channels)
}

/// The two orders of a tensor's numbers.
#[derive(Clone, Copy)]
pub(in crate::backend) enum MemoryOrder {
    /// The graph's: channels first.
    Graph,
    /// The layers': channels last.
    Memory,
}

impl MemoryOrder {
    /// The numbers of a batch in this order, from the other.
    pub(in crate::backend) fn of(self, shape: &Shape, numbers: &[f32]) -> Vec<f32> {
        if is_row_major(shape) {
            return numbers.to_vec();
        }
        let view = |strides| View { start: 0, strides };
        let copy = StridedCopy::new(shape.dims(), &view(row_major(shape)), &view(strides(shape)));
        let copy = match self {
            MemoryOrder::Memory => copy,
            MemoryOrder::Graph => copy.reversed(),
        };
        let mut ordered = vec![0.0; numbers.len()];
        let images = ordered.chunks_exact_mut(shape.len()).zip(numbers.chunks_exact(shape.len()));
        images.for_each(|(to, from)| copy.run(from, to));
        ordered
    }
}
