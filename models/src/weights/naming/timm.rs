//! timm's VGG. Its linear layers are 7x7 and 1x1 convolutions; the convolutions are named as torchvision's.

use super::{TensorMapping, each, flattened};
use crate::graph::Graph;
use crate::ops::Op;
use crate::weights::layout::TensorLayout;

/// Module by module: torchvision's name, timm's.
const LINEAR: [(&str, &str); 3] =
    [("classifier.0", "pre_logits.fc1"), ("classifier.3", "pre_logits.fc2"), ("classifier.6", "head.fc")];

/// The last, which is linear in timm too.
const HEAD: &str = "head.fc";

pub(super) fn follows(name: &str) -> bool {
    LINEAR.iter().any(|(_, timm)| name.strip_prefix(timm).is_some_and(|rest| rest.starts_with('.')))
}

pub(super) fn entries(graph: &Graph) -> Vec<TensorMapping> {
    each(graph, |node, name| {
        let renamed = LINEAR.iter().find_map(|(torchvision, timm)| {
            let role = name.strip_prefix(torchvision)?.strip_prefix('.')?;
            Some((*timm, role))
        });
        let Some((module, role)) = renamed else { return (name.to_owned(), TensorLayout::Same) };
        let layout = match &node.op {
            Op::Linear(linear) if module != HEAD && role == "weight" => {
                TensorLayout::Window(flattened(graph, node).unwrap_or([linear.in_features, 1, 1]))
            }
            _ => TensorLayout::Same,
        };
        (format!("{module}.{role}"), layout)
    })
}
