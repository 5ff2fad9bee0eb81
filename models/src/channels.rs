//! Networks trained on images in BGR order.

use crate::graph::{Graph, GraphError};
use crate::ops::{Op, Slice, Span};
use crate::params::{Params, Tensor};

/// The order of the color channels in a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelOrder {
    /// Red, green, blue: PyTorch, and the order that graft provides.
    #[default]
    Rgb,
    /// Blue, green, red: Caffe and OpenCV.
    Bgr,
}

/// Converts a network to the opposite channel order; its outputs stay the same. If a single convolution takes the image and
/// shares its weights with no other node, this reverses its weights. Otherwise it adds a node that reverses the image.
///
/// # Errors
/// [`GraphError::Shape`] when the input is not an image.
pub fn reversed(graph: &Graph, params: &Params) -> Result<(Graph, Params), GraphError> {
    let readers: Vec<_> = graph.consumers(graph.input()).collect();
    let mut params = params.clone();
    if let [reader] = readers[..] {
        let node = graph.node(reader);
        let weight = node.params.first().and_then(|name| Some((name, params.get(name)?)));
        let alone = |name: &String| graph.nodes().iter().filter(|node| node.params.contains(name)).count() == 1;
        if let (Op::Conv2d(conv), Some((name, weight))) = (&node.op, weight)
            && conv.groups == 1
            && alone(name)
        {
            let reversed = reversed_inputs(weight);
            params.insert(name.clone(), reversed);
            return Ok((graph.clone(), params));
        }
    }
    let (channels, height, width) = graph.chw(graph.input())?;
    let spans = vec![Span::reversed(channels), Span::all(height), Span::all(width)];
    Ok((graph.behind("bgr", Slice { spans })?, params))
}

/// A convolution's weight `[out, in, kh, kw]` with its input channels in the opposite order.
fn reversed_inputs(weight: &Tensor) -> Tensor {
    let taps: usize = weight.shape()[2..].iter().product();
    let filters = weight.data().chunks(weight.shape()[1] * taps);
    Tensor::new(weight.shape(), filters.flat_map(|filter| filter.chunks(taps).rev().flatten().copied()).collect())
}
