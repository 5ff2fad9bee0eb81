//! ResNet (He et al. 2016, "Deep residual learning for image recognition", table 1) with torchvision's names.

use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Add, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool, Relu, Shape, Window};

/// A column of table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNet {
    /// The network's name; torchvision's where it has the network.
    pub name: &'static str,
    /// What a residual block is made of.
    pub block: Block,
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
}

/// The kinds of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1, the last four times as wide.
    Bottleneck(Stride),
}

/// Which convolution of a bottleneck halves the image. Names and shapes of the weights are the same either way, the
/// answers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stride {
    /// The first 1x1: the paper, and Keras.
    First,
    /// The 3x3: torchvision and timm, who call it v1.5.
    Middle,
}

use Block::{Basic, Bottleneck};
use Stride::{First, Middle};

/// Every column of the table, those with bottlenecks in both variants.
pub const TABLE: [ResNet; 8] = [
    ResNet { name: "resnet18", block: Basic, depths: [2, 2, 2, 2] },
    ResNet { name: "resnet34", block: Basic, depths: [3, 4, 6, 3] },
    ResNet { name: "resnet50", block: Bottleneck(Middle), depths: [3, 4, 6, 3] },
    ResNet { name: "resnet50_v1", block: Bottleneck(First), depths: [3, 4, 6, 3] },
    ResNet { name: "resnet101", block: Bottleneck(Middle), depths: [3, 4, 23, 3] },
    ResNet { name: "resnet101_v1", block: Bottleneck(First), depths: [3, 4, 23, 3] },
    ResNet { name: "resnet152", block: Bottleneck(Middle), depths: [3, 8, 36, 3] },
    ResNet { name: "resnet152_v1", block: Bottleneck(First), depths: [3, 8, 36, 3] },
];

/// Channels of the four stages inside a block.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// One convolution of a block, padded to keep the size and without a bias.
pub(crate) struct ResidualConv {
    pub(crate) out: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

impl ResidualConv {
    pub(crate) fn conv(&self, channels: usize) -> Conv2d {
        Conv2d::new(channels, self.out, self.kernel).stride(self.stride).padding(self.kernel / 2).without_bias()
    }
}

impl Block {
    /// The convolutions of a block of this inner width, the one with the stride among them.
    fn layers(self, width: usize, stride: usize) -> Vec<ResidualConv> {
        match self {
            Basic => {
                vec![ResidualConv { out: width, kernel: 3, stride }, ResidualConv { out: width, kernel: 3, stride: 1 }]
            }
            Bottleneck(place) => {
                let [first, middle] = if place == First { [stride, 1] } else { [1, stride] };
                vec![
                    ResidualConv { out: width, kernel: 1, stride: first },
                    ResidualConv { out: width, kernel: 3, stride: middle },
                    ResidualConv { out: 4 * width, kernel: 1, stride: 1 },
                ]
            }
        }
    }
}

impl ResNet {
    /// The network from normalized `[n, 3, h, w]` to logits `[n, classes]`; the paper's sides are 224.
    ///
    /// # Errors
    /// [`GraphError`] when the input is too small for the stem.
    pub fn graph(&self, [height, width]: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, height, width));
        let stem = Conv2d::new(3, 64, 7).stride(2).padding(3).without_bias();
        let mut x = graph.push("conv1", stem, &[graph.input()])?;
        x = graph.push("bn1", BatchNorm::new(64), &[x])?;
        x = graph.push("relu", Relu, &[x])?;
        x = graph.push("maxpool", MaxPool(Window::new(3, 2).padding(1)), &[x])?;
        for (stage, (&width, &depth)) in WIDTHS.iter().zip(&self.depths).enumerate() {
            for index in 0..depth {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let layers = self.block.layers(width, stride);
                x = residual(&mut graph, &format!("layer{}.{index}", stage + 1), x, &layers)?;
            }
        }
        x = graph.push("avgpool", GlobalAvgPool, &[x])?;
        x = graph.push("flatten", Flatten, &[x])?;
        let features = graph.shape(x).len();
        let logits = graph.push("fc", Linear::new(features, classes), &[x])?;
        Ok(graph.finish(logits))
    }
}

/// `relu(layers(x) + shortcut(x))`, the shortcut a projection where shape or stride differ (option B of the paper).
fn residual(graph: &mut GraphBuilder, name: &str, x: NodeId, layers: &[ResidualConv]) -> Result<NodeId, GraphError> {
    let (channels, ..) = graph.chw(x)?;
    let (mut y, mut width) = (x, channels);
    for (index, layer) in layers.iter().enumerate() {
        let number = index + 1;
        y = graph.push(&format!("{name}.conv{number}"), layer.conv(width), &[y])?;
        y = graph.push(&format!("{name}.bn{number}"), BatchNorm::new(layer.out), &[y])?;
        if number < layers.len() {
            y = graph.push(&format!("{name}.relu{number}"), Relu, &[y])?;
        }
        width = layer.out;
    }
    let stride: usize = layers.iter().map(|layer| layer.stride).product();
    let shortcut = if stride == 1 && width == channels {
        x
    } else {
        let projection = Conv2d::new(channels, width, 1).stride(stride).without_bias();
        let projected = graph.push(&format!("{name}.downsample.0"), projection, &[x])?;
        graph.push(&format!("{name}.downsample.1"), BatchNorm::new(width), &[projected])?
    };
    let sum = graph.push(&format!("{name}.add"), Add, &[y, shortcut])?;
    graph.push(&format!("{name}.relu"), Relu, &[sum])
}
