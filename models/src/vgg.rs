//! VGG (Simonyan and Zisserman 2015, "Very deep convolutional networks", table 1) with torchvision's names.

use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{
    AdaptiveAvgPool, BatchNorm, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool, Relu, Shape, Window,
};

/// A column of table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vgg {
    /// The network's name; torchvision's where it has the network.
    pub name: &'static str,
    /// The heading of the column.
    pub column: &'static str,
    /// The convolutions of each block. A 2x2 max-pool ends every block.
    pub blocks: [&'static [VggLayer]; 5],
    /// Its normalization layers.
    pub normalization: VggNormalization,
}

/// A convolution of the table: `conv3-64` is `C3(64)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VggLayer {
    /// 3x3 with this many output channels.
    C3(usize),
    /// 1x1 with this many output channels.
    C1(usize),
}

/// The normalization layers of a VGG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VggNormalization {
    /// No normalization: the paper's networks but for A-LRN.
    None,
    /// Local response normalization behind the first convolution.
    Lrn,
    /// Batch normalization behind every convolution: torchvision's `_bn` networks. The paper is older than batch
    /// normalization.
    Batch,
}

use VggLayer::{C1, C3};

const A: [&[VggLayer]; 5] = [&[C3(64)], &[C3(128)], &[C3(256); 2], &[C3(512); 2], &[C3(512); 2]];
const B: [&[VggLayer]; 5] = [&[C3(64); 2], &[C3(128); 2], &[C3(256); 2], &[C3(512); 2], &[C3(512); 2]];
const C: [&[VggLayer]; 5] = [
    &[C3(64); 2],
    &[C3(128); 2],
    &[C3(256), C3(256), C1(256)],
    &[C3(512), C3(512), C1(512)],
    &[C3(512), C3(512), C1(512)],
];
const D: [&[VggLayer]; 5] = [&[C3(64); 2], &[C3(128); 2], &[C3(256); 3], &[C3(512); 3], &[C3(512); 3]];
const E: [&[VggLayer]; 5] = [&[C3(64); 2], &[C3(128); 2], &[C3(256); 4], &[C3(512); 4], &[C3(512); 4]];

/// Every column of the table, and those with batch normalization.
pub const TABLE: [Vgg; 10] = [
    Vgg { name: "vgg11", column: "A", blocks: A, normalization: VggNormalization::None },
    Vgg { name: "vgg11_lrn", column: "A-LRN", blocks: A, normalization: VggNormalization::Lrn },
    Vgg { name: "vgg11_bn", column: "A", blocks: A, normalization: VggNormalization::Batch },
    Vgg { name: "vgg13", column: "B", blocks: B, normalization: VggNormalization::None },
    Vgg { name: "vgg13_bn", column: "B", blocks: B, normalization: VggNormalization::Batch },
    Vgg { name: "vgg16_c", column: "C", blocks: C, normalization: VggNormalization::None },
    Vgg { name: "vgg16", column: "D", blocks: D, normalization: VggNormalization::None },
    Vgg { name: "vgg16_bn", column: "D", blocks: D, normalization: VggNormalization::Batch },
    Vgg { name: "vgg19", column: "E", blocks: E, normalization: VggNormalization::None },
    Vgg { name: "vgg19_bn", column: "E", blocks: E, normalization: VggNormalization::Batch },
];

/// Rows and columns of the feature map that the first linear layer takes.
const MAP: usize = 7;
/// Width of the two hidden linear layers.
const HIDDEN: usize = 4096;

impl Vgg {
    /// The network from normalized `[n, 3, h, w]` to logits `[n, classes]`; the paper's sides are 224.
    ///
    /// The first linear layer takes a map of 7x7. From other sizes than 224 the map is averaged to that, as torchvision
    /// does, so weights fit an input of any size.
    ///
    /// # Errors
    /// [`GraphError`] when the input is too small for the five halvings: under 32 pixels.
    pub fn graph(&self, [height, width]: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, height, width));
        let mut x = self.features(&mut graph)?;
        let pool = AdaptiveAvgPool { output: [MAP; 2] };
        if let Some(pool) = pool.simplified(graph.shape(x)) {
            x = graph.push("avgpool", pool, &[x])?;
        }
        let width = graph.shape(x).len();
        x = graph.push("flatten", Flatten, &[x])?;
        for (index, width) in [(0, width), (3, HIDDEN)] {
            x = graph.push(&format!("classifier.{index}"), Linear::new(width, HIDDEN), &[x])?;
            x = graph.push(&format!("classifier.{}", index + 1), Relu, &[x])?;
            x = graph.push(&format!("classifier.{}", index + 2), Dropout { p: 0.5 }, &[x])?;
        }
        let logits = graph.push("classifier.6", Linear::new(HIDDEN, classes), &[x])?;
        Ok(graph.finish(logits))
    }

    /// torchvision numbers the layers of `features` in sequence, whatever they are. Local response normalization, which
    /// it does not have and which has no weights, stands outside the sequence, so that weights for A fit A-LRN.
    fn features(&self, graph: &mut GraphBuilder) -> Result<NodeId, GraphError> {
        let mut names = (0..).map(|index| format!("features.{index}"));
        let mut name = || names.next().unwrap_or_default();
        let (mut x, mut channels) = (graph.input(), 3);
        for (block, layers) in self.blocks.iter().enumerate() {
            for layer in *layers {
                let conv = match *layer {
                    C3(width) => Conv2d::new(channels, width, 3).padding(1),
                    C1(width) => Conv2d::new(channels, width, 1),
                };
                channels = conv.out_channels;
                x = graph.push(&name(), conv, &[x])?;
                if self.normalization == VggNormalization::Batch {
                    x = graph.push(&name(), BatchNorm::new(channels), &[x])?;
                }
                x = graph.push(&name(), Relu, &[x])?;
            }
            if self.normalization == VggNormalization::Lrn && block == 0 {
                x = graph.push("features.lrn", LocalResponseNorm::krizhevsky(), &[x])?;
            }
            x = graph.push(&name(), MaxPool(Window::new(2, 2)), &[x])?;
        }
        Ok(x)
    }
}
