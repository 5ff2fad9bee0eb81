//! The residual network of tflearn's CIFAR-10 example (2016): pre-activation blocks whose convolutions have biases, padded
//! as TensorFlow pads.

use super::{UnitSize, WIDTHS, activate_and_classify, subsample, widen};
use crate::graph::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Add, AvgPool, BatchNorm, Conv2d, Padding, Relu, Shape, Window};

/// A size of the example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TfLearn {
    /// The network's name.
    pub name: &'static str,
    /// The example's `n`: blocks in each stage.
    pub n: usize,
    /// How a shortcut gets smaller.
    pub pooling: Pooling,
}

/// How `residual_block` halves its shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Average pooling with a window of 1x1 and a stride of 2: every second row and column. tflearn until February 2017.
    Subsample,
    /// The mean of 2x2 (tflearn's pull request 592).
    Mean,
}

/// The sizes that the example names: 32, 56 and 110 layers.
pub const TFLEARN: [TfLearn; 6] = [
    TfLearn { name: "tflearn_resnet32", n: 5, pooling: Pooling::Subsample },
    TfLearn { name: "tflearn_resnet32_mean", n: 5, pooling: Pooling::Mean },
    TfLearn { name: "tflearn_resnet56", n: 9, pooling: Pooling::Subsample },
    TfLearn { name: "tflearn_resnet56_mean", n: 9, pooling: Pooling::Mean },
    TfLearn { name: "tflearn_resnet110", n: 18, pooling: Pooling::Subsample },
    TfLearn { name: "tflearn_resnet110_mean", n: 18, pooling: Pooling::Mean },
];

impl TfLearn {
    /// The network from centred `[n, 3, h, w]` to logits `[n, classes]`; the example's sides are 32.
    ///
    /// # Errors
    /// [`GraphError`] for an image without pixels.
    pub fn graph(&self, [height, width]: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new("input", Shape::image(3, height, width));
        let input = graph.input();
        let mut x = convolution(&mut graph, "conv1", input, UnitSize { width: WIDTHS[0], stride: 1 })?;
        for (stage, width) in WIDTHS.into_iter().enumerate() {
            for index in 0..self.n {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                x = Block { name: &name, size: UnitSize { width, stride }, pooling: self.pooling }
                    .build(&mut graph, x)?;
            }
        }
        activate_and_classify(graph, x, classes)
    }
}

/// tflearn's `residual_block`. The shortcut is always the block's own input, before normalization.
struct Block<'a> {
    name: &'a str,
    size: UnitSize,
    pooling: Pooling,
}

impl Block<'_> {
    fn build(self, graph: &mut GraphBuilder, x: NodeId) -> Result<NodeId, GraphError> {
        let Self { name, size: UnitSize { width, stride }, pooling } = self;
        let mut y = x;
        for (number, stride) in [(1, stride), (2, 1)] {
            let (channels, ..) = graph.chw(y)?;
            y = graph.push(&format!("{name}.bn{number}"), BatchNorm::new(channels), &[y])?;
            y = graph.push(&format!("{name}.relu{number}"), Relu, &[y])?;
            y = convolution(graph, &format!("{name}.conv{number}"), y, UnitSize { width, stride })?;
        }
        let mut shortcut = x;
        if stride == 2 {
            shortcut = match pooling {
                Pooling::Subsample => subsample(graph, name, x)?,
                Pooling::Mean => {
                    let (_, height, columns) = graph.chw(x)?;
                    let padding = Padding::same([height, columns], [2; 2], [2; 2]);
                    let window = Window { padding, ..Window::new(2, 2) };
                    graph.push(&format!("{name}.pool"), AvgPool { window, count_padding: false }, &[x])?
                }
            };
        }
        let shortcut = widen(graph, name, shortcut, width)?;
        graph.push(&format!("{name}.add"), Add, &[y, shortcut])
    }
}

/// A 3x3 convolution with a bias and TensorFlow's `SAME` padding, which at stride 2 on an even size pads the bottom and
/// the right alone.
fn convolution(graph: &mut GraphBuilder, name: &str, x: NodeId, size: UnitSize) -> Result<NodeId, GraphError> {
    let UnitSize { width, stride } = size;
    let (channels, height, columns) = graph.chw(x)?;
    let padding = Padding::same([height, columns], [3; 2], [stride; 2]);
    graph.push(name, Conv2d { padding, ..Conv2d::new(channels, width, 3).stride(stride) }, &[x])
}
