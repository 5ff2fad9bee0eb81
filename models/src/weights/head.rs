//! Facts about the classifier in a file, from which to choose a graph for it.

use super::naming::{Naming, TensorMapping};
use super::state_dict::{Shapes, StateDict};
use crate::graph::{Graph, NodeId};
use crate::ops::Op;

/// Whether the file holds the weights of the graph's classifier. Files of backbones do not: Keras's `notop`, timm's with
/// `num_classes=0`, Hugging Face's `ResNetModel`. Without them the file fits the part of the graph up to [`covered`].
///
/// Names decide, and not shapes: a classifier for another number of classes is one too.
#[must_use]
pub fn has_classifier(graph: &Graph, state: &StateDict) -> bool {
    graph.classifier().is_some_and(|classifier| has_weights(graph, &state.shapes(), classifier.node()))
}

/// The number of classes of the file's classifier, for which the graph must be built; `None` where the file
/// holds no classifier, or one that is no matrix or has no rows.
#[must_use]
pub fn classes(graph: &Graph, state: &StateDict) -> Option<usize> {
    let weight = graph.node(graph.classifier()?.node()).params.first()?;
    let shapes = state.shapes();
    let entries = Naming::of(&shapes).entries(graph, &shapes);
    let TensorMapping { shape, file, layout, .. } = entries.iter().find(|entry| entry.name == *weight)?;
    let found = shapes.get(file.as_str())?;
    let classes = (found.len() == layout.file_shape(shape).len()).then(|| layout.outputs(found))?;
    classes.filter(|&classes| classes > 0)
}

/// The node of the graph up to which the file has weights: the output, or what the first of those linear layers takes
/// that are at the graph's end and not in the file. `graph.prefix` of it is what such a file fits.
///
/// Keras's `notop` files lack all three linear layers of a VGG and cover it up to the flattened feature map; timm's lack
/// the last one.
#[must_use]
pub fn covered(graph: &Graph, state: &StateDict) -> NodeId {
    let shapes = state.shapes();
    let mut end = graph.output();
    let mut id = end;
    loop {
        let node = graph.node(id);
        let Some(&input) = node.inputs.first() else { return end };
        match &node.op {
            Op::Linear(_) if !has_weights(graph, &shapes, id) => end = input,
            // What has no weights may be between the linear layers, but is not what a file lacks.
            _ if node.params.is_empty() && node.inputs.len() == 1 => {}
            _ => return end,
        }
        id = input;
    }
}

fn has_weights(graph: &Graph, file: &Shapes<'_>, id: NodeId) -> bool {
    let params = &graph.node(id).params;
    let entries = Naming::of(file).entries(graph, file);
    entries.iter().any(|entry| params.contains(&entry.name) && file.contains_key(entry.file.as_str()))
}
