//! `ResNetForImageClassification` and `ResNetModel` of Hugging Face's transformers. With `downsample_in_bottleneck`, which
//! only the configuration beside the file says, a bottleneck has its stride on the first 1x1; by default it is where
//! torchvision has it.

use super::{TensorMapping, each};
use crate::graph::Graph;
use crate::weights::layout::TensorLayout;
use crate::weights::state_dict::Shapes;

/// What a classifier puts before the names of its backbone.
const ROOT: &str = "resnet.";

pub(super) fn follows(name: &str) -> bool {
    let name = name.strip_prefix(ROOT).unwrap_or(name);
    name.starts_with("embedder.embedder.") || name.starts_with("encoder.stages.")
}

pub(super) fn entries(graph: &Graph, file: &Shapes<'_>) -> Vec<TensorMapping> {
    let root = if file.keys().any(|name| name.starts_with(ROOT)) { ROOT } else { "" };
    each(graph, |_, name| (translate(name, root).unwrap_or_else(|| name.to_owned()), TensorLayout::Same))
}

/// A name of torchvision's ResNets in transformers; none for another network's.
fn translate(name: &str, root: &str) -> Option<String> {
    let (module, role) = name.rsplit_once('.')?;
    let parts: Vec<&str> = module.split('.').collect();
    Some(match parts[..] {
        ["conv1"] => format!("{root}embedder.embedder.convolution.{role}"),
        ["bn1"] => format!("{root}embedder.embedder.normalization.{role}"),
        ["fc"] => format!("classifier.1.{role}"),
        [stage, block, ref layer @ ..] => {
            let stage = before(stage.strip_prefix("layer")?)?;
            let block: usize = block.parse().ok()?;
            format!("{root}encoder.stages.{stage}.layers.{block}.{}.{role}", inside(layer)?)
        }
        _ => return None,
    })
}

/// A layer inside of a block.
fn inside(layer: &[&str]) -> Option<String> {
    Some(match layer {
        ["downsample", "0"] => "shortcut.convolution".to_owned(),
        ["downsample", "1"] => "shortcut.normalization".to_owned(),
        [layer] => match layer.strip_prefix("conv") {
            Some(number) => format!("layer.{}.convolution", before(number)?),
            None => format!("layer.{}.normalization", before(layer.strip_prefix("bn")?)?),
        },
        _ => return None,
    })
}

/// torchvision counts stages and layers from one, transformers from nought.
fn before(number: &str) -> Option<usize> {
    number.parse::<usize>().ok()?.checked_sub(1)
}
