//! Networks trained on images in BGR order, or in gray.

use crate::graph::{Graph, GraphBuilder, GraphError, Node, NodeId};
use crate::ops::{Conv2d, Op, Shape, Slice, Span};
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

/// The shares of red, green and blue in PIL's gray (ITU-R 601-2).
pub const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Makes a network for gray images `[1, h, w]` one for RGB images: a 1x1 convolution with the weights [`LUMA`] goes before it.
/// Unlike PIL's, its gray is not rounded to whole numbers. Any other network stays as it is.
///
/// # Errors
/// [`GraphError::Shape`] when the input is not an image.
pub fn from_gray(graph: &Graph, params: &Params) -> Result<(Graph, Params), GraphError> {
    let (channels, height, width) = graph.chw(graph.input())?;
    if channels != 1 {
        return Ok((graph.clone(), params.clone()));
    }
    let mut builder = GraphBuilder::new(&graph.node(graph.input()).name, Shape::image(3, height, width));
    let rgb = builder.input();
    let mut copies: Vec<NodeId> = vec![push_gray(&mut builder, "gray", rgb)?];
    for (_, node) in graph.iter().skip(1) {
        let inputs = node.inputs.iter().map(|id| copies[id.index()]).collect();
        copies.push(builder.push_node(Node { inputs, ..node.clone() })?);
    }
    let mut params = params.clone();
    params.insert("gray.weight", gray_weight());
    Ok((builder.finish(copies[graph.output().index()]), params))
}

/// A convolution without a bias, under this name, from RGB to gray. Its weight is `NAME.weight`.
///
/// # Errors
/// [`GraphError`] when the input does not have three channels.
pub fn push_gray(builder: &mut GraphBuilder, name: &str, rgb: NodeId) -> Result<NodeId, GraphError> {
    let op = Conv2d::new(3, 1, 1).without_bias().into();
    builder.push_node(Node { name: name.to_owned(), op, inputs: vec![rgb], params: vec![format!("{name}.weight")] })
}

/// The weight of that convolution.
#[must_use]
pub fn gray_weight() -> Tensor {
    Tensor::new([1, 3, 1, 1], LUMA.to_vec())
}
