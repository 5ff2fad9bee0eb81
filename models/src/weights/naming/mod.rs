//! The naming conventions, which map the tensors of a file to those of a graph.
//!
//! A graph calls its parameters as torchvision does, so a convention maps these names to the file's, and gives the
//! tensor's layout there. Everything here is about names and shapes, never about numbers.

mod hugging_face;
mod keras;
mod timm;

use std::fmt::{self, Display, Formatter};

use super::layout::TensorLayout;
use super::state_dict::Shapes;
use crate::graph::{Graph, Node};

/// Who named the tensors of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The graph's own names: torchvision's `features.0.weight` and `layer1.0.conv1.weight`, timm's for ResNets, which
    /// are the same, and those of the CIFAR ResNets.
    ///
    /// The names do not say where a bottleneck has its stride: Caffe's ResNet-50 (on the first 1x1) fits torchvision's
    /// graph (on the 3x3) and computes something else. Only the file's origin tells.
    Torchvision,
    /// timm's VGG, whose linear layers are convolutions: `pre_logits.fc1.weight`.
    Timm,
    /// `ResNetForImageClassification` and `ResNetModel` of Hugging Face's transformers:
    /// `resnet.encoder.stages.0.layers.0.layer.0.convolution.weight`.
    HuggingFace,
    /// VGG of `keras.applications`: `block1_conv1/kernel`. Tensors are brought into the graph's layout, but **the first
    /// convolution still takes BGR**, as its weights were trained in Caffe: on pixels of 0 to 255 less a mean. Whoever
    /// uses them folds order and mean into the network or its preprocessing.
    Keras,
}

impl Display for Naming {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Naming::Torchvision => "torchvision",
            Naming::Timm => "timm",
            Naming::HuggingFace => "Hugging Face",
            Naming::Keras => "Keras",
        })
    }
}

/// A parameter of the graph and its counterpart in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorMapping {
    /// The graph's name.
    pub(super) name: String,
    /// The graph's shape.
    pub(super) shape: Vec<usize>,
    /// The file's name.
    pub(super) file: String,
    /// The file's layout.
    pub(super) layout: TensorLayout,
}

impl Naming {
    /// The convention that a file follows, by names that only it has. A file that has none of them is compared with the
    /// graph's own names.
    pub(super) fn of(file: &Shapes<'_>) -> Naming {
        let any = |follows: fn(&str) -> bool| file.keys().any(|name| follows(name));
        if any(keras::follows) {
            Naming::Keras
        } else if any(hugging_face::follows) {
            Naming::HuggingFace
        } else if any(timm::follows) {
            Naming::Timm
        } else {
            Naming::Torchvision
        }
    }

    /// Every parameter of the graph, in the order of its nodes, as this convention has it in such a file.
    pub(super) fn entries(self, graph: &Graph, file: &Shapes<'_>) -> Vec<TensorMapping> {
        match self {
            Naming::Torchvision => each(graph, |_, name| (name.to_owned(), TensorLayout::Same)),
            Naming::Timm => timm::entries(graph),
            Naming::HuggingFace => hugging_face::entries(graph, file),
            Naming::Keras => keras::entries(graph),
        }
    }
}

/// An entry for each parameter; `find` gives its name and layout in the file.
fn each(graph: &Graph, mut find: impl FnMut(&Node, &str) -> (String, TensorLayout)) -> Vec<TensorMapping> {
    let mut entries = Vec::new();
    for node in graph.nodes() {
        for (name, declared) in node.params() {
            let (file, layout) = find(node, name);
            entries.push(TensorMapping { name: name.to_owned(), shape: declared.shape, file, layout });
        }
    }
    entries
}

/// The shape `[c, h, w]` that is flattened into a linear layer's input; `None` if the input is a vector already.
fn flattened(graph: &Graph, linear: &Node) -> Option<[usize; 3]> {
    let flatten = graph.node(*linear.inputs.first()?);
    match graph.shape(*flatten.inputs.first()?).dims() {
        &[c, h, w] => Some([c, h, w]),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
