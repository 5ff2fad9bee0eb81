//! ResNet (He et al. 2016, "Deep residual learning for image recognition", table 1) with torchvision's names.

use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Add, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool, Relu, Shape, Window};

/// A column of table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNet {
    /// The network's name in torchvision.
    pub name: &'static str,
    /// What a residual block is made of.
    pub block: Block,
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
}

/// The two kinds of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1, the last four times as wide. The stride is on the 3x3, as in torchvision ("v1.5"); the paper has
    /// it on the first 1x1.
    Bottleneck,
}

/// 18 layers.
pub const RESNET18: ResNet = ResNet { name: "resnet18", block: Block::Basic, depths: [2, 2, 2, 2] };

/// 50 layers.
pub const RESNET50: ResNet = ResNet { name: "resnet50", block: Block::Bottleneck, depths: [3, 4, 6, 3] };

/// Channels of the four stages inside a block.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// One convolution of a block.
struct Layer {
    out: usize,
    kernel: usize,
    stride: usize,
}

impl Block {
    /// The convolutions of a block of this inner width, the one with the stride among them.
    fn layers(self, width: usize, stride: usize) -> Vec<Layer> {
        match self {
            Block::Basic => {
                vec![Layer { out: width, kernel: 3, stride }, Layer { out: width, kernel: 3, stride: 1 }]
            }
            Block::Bottleneck => vec![
                Layer { out: width, kernel: 1, stride: 1 },
                Layer { out: width, kernel: 3, stride },
                Layer { out: 4 * width, kernel: 1, stride: 1 },
            ],
        }
    }
}

impl ResNet {
    /// The network from normalised `[n, 3, side, side]` to logits `[n, classes]`; the papers' side is 224.
    ///
    /// # Errors
    /// [`GraphError`] when the input is too small for the five halvings.
    pub fn graph(&self, side: usize, classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, side, side));
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
fn residual(graph: &mut GraphBuilder, name: &str, x: NodeId, layers: &[Layer]) -> Result<NodeId, GraphError> {
    let channels = graph.shape(x).dims()[0];
    let (mut y, mut width) = (x, channels);
    for (index, layer) in layers.iter().enumerate() {
        let number = index + 1;
        let conv =
            Conv2d::new(width, layer.out, layer.kernel).stride(layer.stride).padding(layer.kernel / 2).without_bias();
        y = graph.push(&format!("{name}.conv{number}"), conv, &[y])?;
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
