//! The first nodes that the image goes through, as far as they say what it must be.

use super::layout::ImageLayout;
use crate::proto::{GraphProto, NodeProto};
use crate::read::Constant;

/// Height and width that the network resizes every image to before it does anything else than scale and move numbers; `None`
/// where it does not, or computes them.
pub(super) fn resized_to(graph: &GraphProto, input: &str, mut layout: ImageLayout) -> Option<[usize; 2]> {
    let mut at = input;
    for _ in 0..graph.node.len() {
        let node = only_user(graph, at)?;
        match node.op_type.as_str() {
            "Add" | "Cast" | "Clip" | "Div" | "Identity" | "Mul" | "Sub" => {}
            "Transpose" => layout = transposed(node)?,
            "Resize" => return size(graph, node, layout),
            _ => return None,
        }
        at = node.output.first()?;
    }
    None
}

/// The one node that takes a tensor, beside those that ask for its shape.
pub(crate) fn only_user<'g>(graph: &'g GraphProto, tensor: &str) -> Option<&'g NodeProto> {
    let takes = |node: &&NodeProto| node.op_type != "Shape" && node.input.iter().any(|name| name == tensor);
    let mut users = graph.node.iter().filter(takes);
    users.next().filter(|_| users.next().is_none())
}

/// A tensor of the file that does not depend on the image.
pub(crate) fn constant(graph: &GraphProto, name: &str) -> Option<Constant> {
    let inline = || {
        let node =
            graph.node.iter().find(|node| node.op_type == "Constant" && node.output.iter().any(|o| o == name))?;
        node.attribute.iter().find_map(|attribute| attribute.t.as_ref())
    };
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name).or_else(inline)?;
    Constant::decode(tensor).ok()
}

fn transposed(node: &NodeProto) -> Option<ImageLayout> {
    match attribute(node, "perm")? {
        [0, 3, 1, 2] => Some(ImageLayout::ChannelsFirst),
        [0, 2, 3, 1] => Some(ImageLayout::ChannelsLast),
        _ => None,
    }
}

/// The sizes of a `Resize` that are constant, counted from the last axis.
fn size(graph: &GraphProto, node: &NodeProto, layout: ImageLayout) -> Option<[usize; 2]> {
    let policy = node.attribute.iter().find(|attribute| attribute.name == "keep_aspect_ratio_policy");
    if policy.is_some_and(|policy| policy.s.as_deref() != Some(b"stretch")) {
        return None;
    }
    let sizes = trailing(graph, node.input.get(3)?);
    let spatial = match (attribute(node, "axes"), layout) {
        (Some([2, 3] | [-2, -1]), ImageLayout::ChannelsFirst)
        | (Some([1, 2] | [-3, -2]), ImageLayout::ChannelsLast) => sizes.get(..),
        (Some(_), _) => None,
        (None, ImageLayout::ChannelsFirst) => sizes.get(sizes.len().checked_sub(2)?..),
        (None, ImageLayout::ChannelsLast) => sizes.get(sizes.len().checked_sub(3)?..sizes.len() - 1),
    };
    let &[height, width] = spatial? else { return None };
    Some([usize::try_from(height).ok()?, usize::try_from(width).ok()?]).filter(|size| !size.contains(&0))
}

/// The whole numbers of a constant, or those at the end of numbers that are joined from computed and constant ones.
fn trailing(graph: &GraphProto, name: &str) -> Vec<i64> {
    let ints = |name: &str| Some(constant(graph, name)?.integers().ok()?.data);
    if let Some(numbers) = ints(name) {
        return numbers;
    }
    let Some(join) = graph.node.iter().find(|node| node.op_type == "Concat" && node.output.iter().any(|o| o == name))
    else {
        return vec![];
    };
    let mut parts: Vec<Vec<i64>> = join.input.iter().rev().map_while(|name| ints(name)).collect();
    parts.reverse();
    parts.concat()
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    node.attribute.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.ints[..])
}
