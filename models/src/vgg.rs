//! VGG (Simonyan and Zisserman 2015, "Very deep convolutional networks", table 1) with torchvision's names.

use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Conv2d, Dropout, Flatten, Linear, MaxPool, Relu, Shape, Window};

/// A column of table 1: output channels of the 3x3 convolutions of each block. A 2x2 max-pool ends every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vgg {
    /// The network's name in torchvision.
    pub name: &'static str,
    /// The five blocks.
    pub blocks: [&'static [usize]; 5],
}

/// Configuration D.
pub const VGG16: Vgg = Vgg { name: "vgg16", blocks: [&[64; 2], &[128; 2], &[256; 3], &[512; 3], &[512; 3]] };

/// Configuration E.
pub const VGG19: Vgg = Vgg { name: "vgg19", blocks: [&[64; 2], &[128; 2], &[256; 4], &[512; 4], &[512; 4]] };

/// Side of the input; the first linear layer fixes it.
const SIDE: usize = 224;
/// Width of the two hidden linear layers.
const HIDDEN: usize = 4096;

impl Vgg {
    /// The network from normalised `[n, 3, 224, 224]` to logits `[n, classes]`.
    ///
    /// # Errors
    /// Never for the tables above; a column of one's own may not fit the input.
    pub fn graph(&self, classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, SIDE, SIDE));
        let features = self.features(&mut graph)?;
        let width = graph.shape(features).len();
        let mut x = graph.push("flatten", Flatten, &[features])?;
        for (index, width) in [(0, width), (3, HIDDEN)] {
            x = graph.push(&format!("classifier.{index}"), Linear::new(width, HIDDEN), &[x])?;
            x = graph.push(&format!("classifier.{}", index + 1), Relu, &[x])?;
            x = graph.push(&format!("classifier.{}", index + 2), Dropout { p: 0.5 }, &[x])?;
        }
        let logits = graph.push("classifier.6", Linear::new(HIDDEN, classes), &[x])?;
        Ok(graph.finish(logits))
    }

    /// torchvision numbers the layers of `features` in sequence, whatever they are.
    fn features(&self, graph: &mut GraphBuilder) -> Result<NodeId, GraphError> {
        let mut names = (0..).map(|index| format!("features.{index}"));
        let mut name = || names.next().unwrap_or_default();
        let (mut x, mut channels) = (graph.input(), 3);
        for &width in self.blocks.iter().copied().flat_map(|block| block.iter().chain([&0])) {
            if width == 0 {
                x = graph.push(&name(), MaxPool(Window::new(2, 2)), &[x])?;
                continue;
            }
            x = graph.push(&name(), Conv2d::new(channels, width, 3).padding(1), &[x])?;
            x = graph.push(&name(), Relu, &[x])?;
            channels = width;
        }
        Ok(x)
    }
}
