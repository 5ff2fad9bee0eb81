//! Networks of inverted residuals for small images: blocks that widen, filter and narrow again, with a shortcut between the
//! narrow ends (Sandler et al. 2018, "MobileNetV2", figure 3), and in the first stages one 3x3 convolution in the place of
//! the first two (Tan and Le 2021, "EfficientNetV2", figure 2). Wide maps at few pixels are what a CPU is fast at.

use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Add, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, Relu, Shape};

/// A network: a 3x3 stem that halves the image, stages of blocks, a 1x1 convolution to the features, their mean over the
/// image, and a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvertedResNet {
    /// The network's name.
    pub name: &'static str,
    /// Channels of the stem.
    pub stem: usize,
    /// The stages, each at its own size of map.
    pub stages: &'static [Stage],
    /// Numbers that describe an image.
    pub features: usize,
}

/// A row of the table of a network's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// What a block is made of.
    pub block: Block,
    /// How many times as wide a block is inside.
    pub expansion: usize,
    /// Channels of its output.
    pub out: usize,
    /// How many blocks there are.
    pub depth: usize,
    /// The stride of the first block.
    pub stride: usize,
}

/// The kinds of block. All convolutions have batch normalization, and all but those that narrow a ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// A 3x3 convolution that widens, then a 1x1 that narrows; with an expansion of 1 the 3x3 alone.
    Fused,
    /// A 1x1 convolution that widens, a 3x3 of each channel by itself, a 1x1 that narrows.
    Depthwise,
}

use Block::{Depthwise, Fused};

/// The networks of this family.
pub const TABLE: [InvertedResNet; 1] = [InvertedResNet {
    name: "starter",
    stem: 24,
    stages: &[
        Stage { block: Fused, expansion: 1, out: 24, depth: 1, stride: 1 },
        Stage { block: Fused, expansion: 4, out: 40, depth: 2, stride: 2 },
        Stage { block: Depthwise, expansion: 4, out: 80, depth: 3, stride: 2 },
        Stage { block: Depthwise, expansion: 5, out: 128, depth: 3, stride: 1 },
        Stage { block: Depthwise, expansion: 6, out: 192, depth: 3, stride: 2 },
    ],
    features: 960,
}];

/// The convolution that narrows.
const PROJECT: &str = "project";

/// One convolution of a block, padded to keep the size.
struct BlockConv {
    name: &'static str,
    conv: Conv2d,
    out: usize,
}

impl BlockConv {
    fn new(name: &'static str, conv: Conv2d, out: usize) -> Self {
        Self { name, conv: conv.without_bias(), out }
    }
}

impl Stage {
    /// The convolutions of a block with this input.
    fn convs(&self, channels: usize, stride: usize) -> Vec<BlockConv> {
        let wide = channels * self.expansion;
        let narrow = BlockConv::new(PROJECT, Conv2d::new(wide, self.out, 1), self.out);
        let filter = |out: usize| Conv2d::new(channels, out, 3).stride(stride).padding(1);
        match self.block {
            Fused if self.expansion == 1 => vec![BlockConv::new("conv", filter(self.out), self.out)],
            Fused => vec![BlockConv::new("expand", filter(wide), wide), narrow],
            Depthwise => {
                let each = Conv2d::new(wide, wide, 3).stride(stride).padding(1).groups(wide);
                vec![
                    BlockConv::new("expand", Conv2d::new(channels, wide, 1), wide),
                    BlockConv::new("depthwise", each, wide),
                    narrow,
                ]
            }
        }
    }
}

impl InvertedResNet {
    /// The network from normalized `[n, 3, h, w]` to logits `[n, classes]`.
    ///
    /// # Errors
    /// [`GraphError`] when the input is empty.
    pub fn graph(&self, [height, width]: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, height, width));
        let input = graph.input();
        let stem = BlockConv::new("stem", Conv2d::new(3, self.stem, 3).stride(2).padding(1), self.stem);
        let mut x = convolved(&mut graph, "", input, stem)?;
        for (number, stage) in self.stages.iter().enumerate() {
            for index in 0..stage.depth {
                let stride = if index == 0 { stage.stride } else { 1 };
                let convs = stage.convs(graph.chw(x)?.0, stride);
                x = residual(&mut graph, &format!("stages.{number}.{index}."), x, convs)?;
            }
        }
        let last = Conv2d::new(graph.chw(x)?.0, self.features, 1);
        x = convolved(&mut graph, "", x, BlockConv::new("features", last, self.features))?;
        x = graph.push("avgpool", GlobalAvgPool, &[x])?;
        x = graph.push("flatten", Flatten, &[x])?;
        let logits = graph.push("fc", Linear::new(self.features, classes), &[x])?;
        Ok(graph.finish(logits))
    }
}

/// A convolution with its normalization and, unless it narrows, a ReLU. A narrow end has too few channels for half of
/// their values to be lost.
fn convolved(graph: &mut GraphBuilder, prefix: &str, x: NodeId, conv: BlockConv) -> Result<NodeId, GraphError> {
    let name = format!("{prefix}{}", conv.name);
    let y = graph.push(&format!("{name}.conv"), conv.conv, &[x])?;
    let y = graph.push(&format!("{name}.bn"), BatchNorm::new(conv.out), &[y])?;
    if conv.name == PROJECT { Ok(y) } else { graph.push(&format!("{name}.relu"), Relu, &[y]) }
}

/// The convolutions of a block, and its input added where the shape is the same.
fn residual(graph: &mut GraphBuilder, prefix: &str, x: NodeId, convs: Vec<BlockConv>) -> Result<NodeId, GraphError> {
    let y = convs.into_iter().try_fold(x, |y, conv| convolved(graph, prefix, y, conv))?;
    if graph.shape(x) == graph.shape(y) { graph.push(&format!("{prefix}add"), Add, &[y, x]) } else { Ok(y) }
}
