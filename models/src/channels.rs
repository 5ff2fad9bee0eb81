//! Networks that were trained on blue, green, red.

use crate::graph::{Graph, GraphError};
use crate::ops::{Op, Slice, Span};
use crate::params::{Params, Tensor};

/// The order of the colours in a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelOrder {
    /// Red, green, blue: PyTorch and most others, and what graft gives every network.
    #[default]
    Rgb,
    /// Blue, green, red: Caffe and OpenCV.
    Bgr,
}

/// The same network for the opposite order of colours, its answers unchanged. A convolution that alone takes the image, and
/// alone has its weights, has these reversed, so that nothing is left of the difference; otherwise a node in front reverses
/// the image.
///
/// # Errors
/// [`GraphError`] when the input is no image.
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
