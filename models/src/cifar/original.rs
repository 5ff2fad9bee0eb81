//! The CIFAR-10 networks of He et al. 2016, section 4.2: `6n + 2` layers, shortcuts without weights. Parameter names are
//! those of the weights that people have (`github.com/akamaster/pytorch_resnet_cifar10`).

use super::{UnitSize, WIDTHS, classify, identity};
use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Add, BatchNorm, Conv2d, Relu, Shape};

/// A network of the paper's table 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// The network's name.
    pub name: &'static str,
    /// Blocks in each stage.
    pub n: usize,
}

/// Every network of the table.
pub const ORIGINAL: [Original; 6] = [
    Original { name: "resnet20_cifar", n: 3 },
    Original { name: "resnet32_cifar", n: 5 },
    Original { name: "resnet44_cifar", n: 7 },
    Original { name: "resnet56_cifar", n: 9 },
    Original { name: "resnet110_cifar", n: 18 },
    Original { name: "resnet1202_cifar", n: 200 },
];

impl Original {
    /// The network from normalized `[n, 3, h, w]` to logits `[n, classes]`; the paper's sides are 32.
    ///
    /// # Errors
    /// [`GraphError`] for an image without pixels.
    pub fn graph(&self, [height, width]: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, height, width));
        let stem = Conv2d::new(3, WIDTHS[0], 3).padding(1).without_bias();
        let mut x = graph.push("conv1", stem, &[graph.input()])?;
        x = graph.push("bn1", BatchNorm::new(WIDTHS[0]), &[x])?;
        x = graph.push("relu", Relu, &[x])?;
        for (stage, width) in WIDTHS.into_iter().enumerate() {
            for index in 0..self.n {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                x = block(&mut graph, &format!("layer{}.{index}", stage + 1), x, UnitSize { width, stride })?;
            }
        }
        classify(graph, "linear", x, classes)
    }
}

/// `relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))`.
fn block(graph: &mut GraphBuilder, name: &str, x: NodeId, size: UnitSize) -> Result<NodeId, GraphError> {
    let UnitSize { width, stride } = size;
    let (channels, ..) = graph.chw(x)?;
    let first = Conv2d::new(channels, width, 3).stride(stride).padding(1).without_bias();
    let second = Conv2d::new(width, width, 3).padding(1).without_bias();
    let mut y = graph.push(&format!("{name}.conv1"), first, &[x])?;
    y = graph.push(&format!("{name}.bn1"), BatchNorm::new(width), &[y])?;
    y = graph.push(&format!("{name}.relu1"), Relu, &[y])?;
    y = graph.push(&format!("{name}.conv2"), second, &[y])?;
    y = graph.push(&format!("{name}.bn2"), BatchNorm::new(width), &[y])?;
    let shortcut = identity(graph, name, x, UnitSize { width, stride })?;
    let sum = graph.push(&format!("{name}.add"), Add, &[y, shortcut])?;
    graph.push(&format!("{name}.relu"), Relu, &[sum])
}
