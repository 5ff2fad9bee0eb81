//! Residual networks for small images: three stages of 16, 32 and 64 channels at full, half and quarter size.

mod original;
mod preactivation;
mod tflearn;

pub use original::{ORIGINAL, Original};
pub use preactivation::{PREACTIVATION, PreActivation, Unit};
pub use tflearn::{Pooling, TFLEARN, TfLearn};

use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{BatchNorm, Flatten, GlobalAvgPool, Linear, Pad, Relu, Slice, Span};

/// Channels of the three stages.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// The size of a residual unit.
#[derive(Debug, Clone, Copy)]
struct UnitSize {
    /// Channels of its output.
    width: usize,
    /// The step of its first convolution in both directions, 1 or 2.
    stride: usize,
}

/// The shortcut without weights (option A of He et al. 2016, section 3.3): every second row and column, and channels of
/// zeros, half of them before and half behind.
fn identity(graph: &mut GraphBuilder, name: &str, x: NodeId, size: UnitSize) -> Result<NodeId, GraphError> {
    let UnitSize { width, stride } = size;
    let mut shortcut = x;
    if stride == 2 {
        shortcut = subsample(graph, name, x)?;
    }
    widen(graph, name, shortcut, width)
}

/// Every second row and column.
fn subsample(graph: &mut GraphBuilder, name: &str, x: NodeId) -> Result<NodeId, GraphError> {
    let (channels, height, width) = graph.chw(x)?;
    let spans = vec![Span::all(channels), Span::every_second(height), Span::every_second(width)];
    graph.push(&format!("{name}.subsample"), Slice { spans }, &[x])
}

/// Channels of zeros around those that there are.
fn widen(graph: &mut GraphBuilder, name: &str, x: NodeId, width: usize) -> Result<NodeId, GraphError> {
    let (channels, ..) = graph.chw(x)?;
    match (width - channels) / 2 {
        0 => Ok(x),
        zeros => graph.push(&format!("{name}.widen"), Pad::channels(zeros, zeros), &[x]),
    }
}

/// The end of every network that activates before it convolves: normalization, ReLU, then [`classify`].
fn activate_and_classify(mut graph: GraphBuilder, x: NodeId, classes: usize) -> Result<Graph, GraphError> {
    let (channels, ..) = graph.chw(x)?;
    let mut x = graph.push("bn", BatchNorm::new(channels), &[x])?;
    x = graph.push("relu", Relu, &[x])?;
    classify(graph, "fc", x, classes)
}

/// The mean of each channel, and a linear layer of this name.
fn classify(mut graph: GraphBuilder, head: &str, x: NodeId, classes: usize) -> Result<Graph, GraphError> {
    let (channels, ..) = graph.chw(x)?;
    let mut x = graph.push("avgpool", GlobalAvgPool, &[x])?;
    x = graph.push("flatten", Flatten, &[x])?;
    let logits = graph.push(head, Linear::new(channels, classes), &[x])?;
    Ok(graph.finish(logits))
}
