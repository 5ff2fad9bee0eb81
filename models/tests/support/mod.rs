//! Random graphs for properties of every graph.

use models::ops::{Add, AvgPool, BatchNorm, Concat, Conv2d, Flatten, Linear, MaxPool, Padding, Relu, Shape, Window};
use models::{Graph, GraphBuilder, GraphError, NodeId};
use proptest::prelude::*;

/// Classifiers of four classes for images of 3x16x16 pixels, of up to eleven random blocks: convolutions, normalization,
/// pooling, and branches that are added or concatenated.
pub(crate) fn graphs() -> impl Strategy<Value = Graph> {
    prop::collection::vec(0..8_u8, 0..12).prop_map(|blocks| build(&blocks).expect("every block fits its input"))
}

fn build(blocks: &[u8]) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new("input", Shape::image(3, 16, 16));
    let mut x = builder.input();
    for (index, block) in blocks.iter().enumerate() {
        x = push(&mut builder, x, &format!("block{index}"), *block)?;
    }
    let flat = builder.push("flatten", Flatten, &[x])?;
    let width = builder.shape(flat).len();
    let output = builder.push("fc", Linear::new(width, 4), &[flat])?;
    Ok(builder.finish(output))
}

fn push(builder: &mut GraphBuilder, x: NodeId, name: &str, block: u8) -> Result<NodeId, GraphError> {
    let (channels, height, _) = builder.chw(x)?;
    let same = |out| Conv2d { padding: Padding::all(1), ..Conv2d::new(channels, out, 3) };
    match block {
        0 => builder.push(name, same(4), &[x]),
        1 => builder.push(name, Conv2d { bias: false, ..Conv2d::new(channels, 5, 1) }, &[x]),
        2 => builder.push(name, BatchNorm::new(channels), &[x]),
        3 if height >= 4 => builder.push(name, MaxPool(Window::new(2, 2)), &[x]),
        4 if height >= 4 => builder.push(name, AvgPool { window: Window::new(2, 1), count_padding: false }, &[x]),
        5 => {
            let branch = builder.push(&format!("{name}.conv"), same(channels), &[x])?;
            builder.push(name, Add, &[x, branch])
        }
        6 => {
            let branch = builder.push(&format!("{name}.conv"), same(2), &[x])?;
            builder.push(name, Concat, &[x, branch])
        }
        _ => builder.push(name, Relu, &[x]),
    }
}
