//! VGG of `keras.applications`: convolutions are counted in blocks, which end with a pooling, and the linear layers have
//! names of their own. All kernels have their outputs last.

use std::collections::HashMap;

use super::{TensorMapping, each, flattened};
use crate::graph::Graph;
use crate::ops::Op;
use crate::weights::layout::TensorLayout;

/// The linear layers from the first to the last.
const LINEAR: [&str; 3] = ["fc1", "fc2", "predictions"];

/// PyTorch's names never contain a slash; those from the reader of Keras's files always do.
pub(super) fn follows(name: &str) -> bool {
    name.contains('/')
}

pub(super) fn entries(graph: &Graph) -> Vec<TensorMapping> {
    let layers = layers(graph);
    each(graph, |node, name| {
        let role = name.rsplit('.').next().unwrap_or(name);
        let (Some(layer), Some(variable)) = (layers.get(node.name.as_str()), variable(role)) else {
            return (name.to_owned(), TensorLayout::Same);
        };
        let layout = match (&node.op, variable) {
            (Op::Conv2d(_), "kernel") => TensorLayout::Hwio,
            (Op::Linear(_), "kernel") => {
                flattened(graph, node).map_or(TensorLayout::Transposed, TensorLayout::TransposedHwc)
            }
            _ => TensorLayout::Same,
        };
        (format!("{layer}/{variable}"), layout)
    })
}

fn variable(role: &str) -> Option<&'static str> {
    match role {
        "weight" => Some("kernel"),
        "bias" => Some("bias"),
        _ => None,
    }
}

/// Keras's name of each node that has weights there, by the node's own. A VGG is a chain; where a graph branches, it is
/// another network, and its layers must not be taken for those of one.
fn layers(graph: &Graph) -> HashMap<&str, String> {
    if graph.nodes().iter().any(|node| node.inputs.len() > 1) {
        return HashMap::new();
    }
    let (mut block, mut conv) = (1, 0);
    let mut linear = LINEAR.iter();
    let mut layers = HashMap::new();
    for node in graph.nodes() {
        let layer = match &node.op {
            Op::MaxPool(_) => {
                (block, conv) = (block + 1, 0);
                None
            }
            Op::Conv2d(_) => {
                conv += 1;
                Some(format!("block{block}_conv{conv}"))
            }
            Op::Linear(_) => linear.next().map(|name| (*name).to_owned()),
            _ => None,
        };
        layers.extend(layer.map(|layer| (node.name.as_str(), layer)));
    }
    layers
}
