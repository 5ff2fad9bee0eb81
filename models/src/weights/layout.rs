//! The layouts of tensors in files.

use crate::params::Tensor;

/// The layout of a tensor in a file, relative to the graph's. It follows from the convention and the place in the
/// network, never from the shape: a square matrix has the same shape either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorLayout {
    /// The graph's own.
    Same,
    /// A linear layer written as a convolution over its whole input, `[out, c, h, w]` for `[out, c · h · w]`.
    Window([usize; 3]),
    /// A convolution's kernel as `[h, w, in, out]` for `[out, in, h, w]`.
    Hwio,
    /// A linear layer's as `[in, out]` for `[out, in]`.
    Transposed,
    /// A linear layer's as `[in, out]` behind a flattening of `[h, w, c]`, for `[out, in]` behind one of `[c, h, w]`.
    TransposedHwc([usize; 3]),
}

impl TensorLayout {
    /// The shape in the file of a tensor that has this shape in the graph.
    pub(super) fn file_shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (TensorLayout::Window([c, h, w]), [out, _]) => vec![*out, c, h, w],
            (TensorLayout::Hwio, [out, in_, h, w]) => vec![*h, *w, *in_, *out],
            (TensorLayout::Transposed | TensorLayout::TransposedHwc(_), [out, in_]) => vec![*in_, *out],
            _ => shape.to_vec(),
        }
    }

    /// The dimension of the file's tensor that counts outputs, of as many as the graph's tensor has dimensions.
    pub(super) fn outputs(self, shape: &[usize]) -> Option<usize> {
        let outputs = match self {
            TensorLayout::Same | TensorLayout::Window(_) => shape.first(),
            TensorLayout::Hwio | TensorLayout::Transposed | TensorLayout::TransposedHwc(_) => shape.last(),
        };
        outputs.copied()
    }

    /// A tensor of the file, in the graph's layout. Its shape is [`TensorLayout::file_shape`] of that of the graph.
    pub(super) fn arrange(self, tensor: &Tensor, shape: &[usize]) -> Tensor {
        match (self, tensor.shape()) {
            (TensorLayout::Hwio, &[h, w, in_, out]) => {
                permuted(tensor, shape, [(out, 1), (in_, out), (h, w * in_ * out), (w, in_ * out)])
            }
            (TensorLayout::Transposed, &[in_, out]) => permuted(tensor, shape, [(1, 0), (1, 0), (out, 1), (in_, out)]),
            (TensorLayout::TransposedHwc([c, h, w]), &[_, out]) => {
                permuted(tensor, shape, [(out, 1), (c, out), (h, w * c * out), (w, c * out)])
            }
            _ => tensor.reshaped(shape),
        }
    }
}

/// The numbers in the order of four axes, the last fastest, each with its length and its stride in the file.
fn permuted(tensor: &Tensor, shape: &[usize], axes: [(usize, usize); 4]) -> Tensor {
    let [a, b, c, d] = axes;
    let mut numbers = Vec::with_capacity(tensor.data().len());
    for start in steps(0, a).flat_map(|at| steps(at, b)).flat_map(|at| steps(at, c)) {
        numbers.extend(steps(start, d).map(|at| tensor.data()[at]));
    }
    Tensor::new(shape, numbers)
}

fn steps(from: usize, (count, stride): (usize, usize)) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| from + index * stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Tensor {
        Tensor::new(shape, (0..shape.iter().product()).map(|number: usize| number as f32).collect())
    }

    /// Where each layout puts the number that the graph has at these indices, by the definition of the layout.
    #[test]
    fn every_number_goes_to_its_place() {
        let (out, c, h, w) = (5, 2, 3, 4);
        let at = |shape: [usize; 4], index: [usize; 4]| {
            std::iter::zip(shape, index).fold(0, |at, (length, index)| at * length + index) as f32
        };
        let indices = (0..out * c * h * w).map(|n| [n / (c * h * w), n / (h * w) % c, n / w % h, n % w]);

        let kernel = TensorLayout::Hwio.arrange(&counting(&[h, w, c, out]), &[out, c, h, w]);
        let expected: Vec<f32> = indices.clone().map(|[o, i, y, x]| at([h, w, c, out], [y, x, i, o])).collect();
        assert_eq!((kernel.shape(), kernel.data()), (&[out, c, h, w][..], &expected[..]));

        let flat = [out, c * h * w];
        let file = counting(&[h * w * c, out]);
        let hwc = TensorLayout::TransposedHwc([c, h, w]).arrange(&file, &flat);
        let expected: Vec<f32> = indices.clone().map(|[o, i, y, x]| at([h, w, c, out], [y, x, i, o])).collect();
        assert_eq!((hwc.shape(), hwc.data()), (&flat[..], &expected[..]));

        let transposed = TensorLayout::Transposed.arrange(&file, &flat);
        let expected: Vec<f32> = indices.map(|[o, i, y, x]| at([c, h, w, out], [i, y, x, o])).collect();
        assert_eq!((transposed.shape(), transposed.data()), (&flat[..], &expected[..]));

        let window = TensorLayout::Window([c, h, w]).arrange(&counting(&[out, c, h, w]), &flat);
        assert_eq!(window, counting(&flat));
    }

    #[test]
    fn shapes_in_the_file_are_those_that_are_arranged() {
        for (layout, graph, file) in [
            (TensorLayout::Same, &[5, 24][..], &[5, 24][..]),
            (TensorLayout::Window([2, 3, 4]), &[5, 24], &[5, 2, 3, 4]),
            (TensorLayout::Hwio, &[5, 2, 3, 4], &[3, 4, 2, 5]),
            (TensorLayout::Transposed, &[5, 24], &[24, 5]),
            (TensorLayout::TransposedHwc([2, 3, 4]), &[5, 24], &[24, 5]),
        ] {
            assert_eq!(layout.file_shape(graph), file);
            assert_eq!(layout.arrange(&counting(file), graph).shape(), graph);
            assert_eq!(layout.outputs(file), Some(5));
        }
    }
}
