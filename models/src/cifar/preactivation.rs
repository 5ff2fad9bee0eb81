//! The networks of He et al. 2016, "Identity mappings in deep residual networks": normalization and ReLU come before each
//! convolution, so that nothing but sums stands on the path from the first layer to the last.

use super::{UnitSize, WIDTHS, activate_and_classify, identity};
use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Add, BatchNorm, Conv2d, Relu, Shape};
use crate::resnet::ResidualConv;

/// A CIFAR network of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreActivation {
    /// The network's name.
    pub name: &'static str,
    /// What a residual unit is made of.
    pub unit: Unit,
    /// Units in each stage.
    pub n: usize,
}

/// The two kinds of residual unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Two 3x3 convolutions, `6n + 2` layers, shortcuts without weights.
    Basic,
    /// 1x1, 3x3, 1x1, the last four times as wide, `9n + 2` layers. The stride is on the first 1x1, and where the width
    /// changes the shortcut is a 1x1 convolution (github.com/KaimingHe/resnet-1k-layers).
    Bottleneck,
}

/// Every network of the paper's table 2 with full pre-activation.
pub const PREACTIVATION: [PreActivation; 3] = [
    PreActivation { name: "preact_resnet110_cifar", unit: Unit::Basic, n: 18 },
    PreActivation { name: "preact_resnet164_cifar", unit: Unit::Bottleneck, n: 18 },
    PreActivation { name: "preact_resnet1001_cifar", unit: Unit::Bottleneck, n: 111 },
];

/// A residual unit of a network.
struct Residual {
    name: String,
    layers: Vec<ResidualConv>,
    branch: Branch,
}

/// What a unit's shortcut takes.
#[derive(PartialEq, Eq)]
enum Branch {
    /// The sum before it, as it is.
    Sum,
    /// Its normalized and activated input, which the layers take too: the first unit of the network (appendix), and each
    /// that changes the width.
    Activated,
}

impl Unit {
    fn layers(self, width: usize, stride: usize) -> Vec<ResidualConv> {
        let layer = |kernel, out, stride| ResidualConv { out, kernel, stride };
        match self {
            Unit::Basic => vec![layer(3, width, stride), layer(3, width, 1)],
            Unit::Bottleneck => vec![layer(1, width, stride), layer(3, width, 1), layer(1, 4 * width, 1)],
        }
    }
}

impl PreActivation {
    /// The network from normalized `[n, 3, h, w]` to logits `[n, classes]`; the paper's sides are 32.
    ///
    /// # Errors
    /// [`GraphError`] for an image without pixels.
    pub fn graph(&self, [height, width]: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, height, width));
        let stem = Conv2d::new(3, WIDTHS[0], 3).padding(1).without_bias();
        let mut x = graph.push("conv1", stem, &[graph.input()])?;
        for (stage, width) in WIDTHS.into_iter().enumerate() {
            for index in 0..self.n {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let residual = Residual {
                    name: format!("layer{}.{index}", stage + 1),
                    layers: self.unit.layers(width, stride),
                    branch: if index == 0 { Branch::Activated } else { Branch::Sum },
                };
                x = self.residual(&mut graph, x, &residual)?;
            }
        }
        activate_and_classify(graph, x, classes)
    }

    /// `x + layers(x)`, each behind normalization and ReLU.
    fn residual(&self, graph: &mut GraphBuilder, x: NodeId, residual: &Residual) -> Result<NodeId, GraphError> {
        let Residual { name, layers, branch } = residual;
        let (channels, ..) = graph.chw(x)?;
        let stride = layers.iter().map(|layer| layer.stride).product();
        let width = layers.last().map_or(channels, |layer| layer.out);
        let (mut y, mut shortcut) = (x, x);
        for (number, layer) in (1..).zip(layers) {
            let (in_channels, ..) = graph.chw(y)?;
            y = graph.push(&format!("{name}.bn{number}"), BatchNorm::new(in_channels), &[y])?;
            y = graph.push(&format!("{name}.relu{number}"), Relu, &[y])?;
            if number == 1 && *branch == Branch::Activated {
                shortcut = match self.unit {
                    Unit::Basic => identity(graph, name, y, UnitSize { width, stride })?,
                    Unit::Bottleneck => {
                        let projection = Conv2d::new(channels, width, 1).stride(stride).without_bias();
                        graph.push(&format!("{name}.shortcut"), projection, &[y])?
                    }
                };
            }
            y = graph.push(&format!("{name}.conv{number}"), layer.conv(in_channels), &[y])?;
        }
        graph.push(&format!("{name}.add"), Add, &[y, shortcut])
    }
}
