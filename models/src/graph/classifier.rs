//! Finds the classifier of a network and replaces it.

use super::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Flatten, GlobalAvgPool, Linear, Op};

/// The layer from features to classes, found by structure and never by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classifier {
    /// A linear layer.
    Linear(NodeId),
    /// A 1x1 convolution whose class maps are averaged afterwards, as in SqueezeNet, or that takes an image of one pixel.
    Pointwise(NodeId),
}

impl Classifier {
    /// The classifying node.
    #[must_use]
    pub fn node(self) -> NodeId {
        match self {
            Classifier::Linear(id) | Classifier::Pointwise(id) => id,
        }
    }
}

/// A network with a new head.
#[derive(Debug, Clone, PartialEq)]
pub struct GraftedGraph {
    /// The whole network, ending in the head's logits.
    pub graph: Graph,
    /// The vector that the head reads, `[n, features]`.
    pub features: NodeId,
    /// The head: a linear layer, the last node.
    pub head: NodeId,
}

impl Graph {
    /// The classifier, found by walking back from the output over operators that only move or squash the scores.
    /// `None` for a backbone without a head.
    #[must_use]
    pub fn classifier(&self) -> Option<Classifier> {
        let mut id = self.output();
        let mut averaged = false;
        loop {
            let node = self.node(id);
            match &node.op {
                Op::Linear(_) if !averaged => return Some(Classifier::Linear(id)),
                Op::Conv2d(conv) if conv.is_pointwise() && (averaged || self.is_vector(id)) => {
                    return Some(Classifier::Pointwise(id));
                }
                Op::GlobalAvgPool(_) | Op::AvgPool(_) => averaged = true,
                Op::Reshape(_) | Op::Transpose(_) if self.is_vector(id) => {}
                Op::Softmax(_) | Op::Flatten(_) | Op::Dropout(_) => {}
                // SqueezeNet squashes its class maps before it averages them. A ReLU behind anything else ends features.
                Op::Relu(_) if averaged => {}
                _ => return None,
            }
            id = *node.inputs.first()?;
        }
    }

    /// Whether all dimensions but one are of length one.
    fn is_vector(&self, id: NodeId) -> bool {
        self.shape(id).dims().iter().filter(|&&size| size != 1).count() <= 1
    }

    /// Replaces the classifier by a linear head of this name with this many classes, or appends the head to a backbone
    /// without one.
    ///
    /// A 1x1-convolution classifier is replaced by pooling followed by a linear layer. Averaging and a pointwise
    /// convolution are both linear, so their order does not matter; the features are then one vector an image. The ReLU
    /// behind SqueezeNet's classifier goes too, since it would clip negative logits.
    ///
    /// # Errors
    /// [`GraphError::NoFeatures`] when the network ends neither in a vector nor in a feature map.
    pub fn graft(&self, name: &str, classes: usize) -> Result<GraftedGraph, GraphError> {
        let last = match self.classifier() {
            Some(classifier) => self.node(classifier.node()).inputs[0],
            None => self.output(),
        };
        let mut builder = GraphBuilder::from(self.prefix(last));
        let last = NodeId(builder.nodes.len() - 1);
        let features = match builder.shape(last).dims() {
            [_] => last,
            [_, 1, 1] => builder.push(&builder.free_name("features.flatten"), Flatten, &[last])?,
            [_, _, _] => {
                let pool = builder.push(&builder.free_name("features.pool"), GlobalAvgPool, &[last])?;
                builder.push(&builder.free_name("features.flatten"), Flatten, &[pool])?
            }
            _ => {
                let shape = builder.shape(last).to_string();
                return Err(GraphError::NoFeatures { node: builder.node(last).name.clone(), shape });
            }
        };
        let width = builder.shape(features).len();
        let head = builder.push(&builder.free_name(name), Linear::new(width, classes), &[features])?;
        Ok(GraftedGraph { graph: builder.finish(head), features, head })
    }
}

impl GraphBuilder {
    /// This name, or the first of `name_2`, `name_3`, … that is free if the earlier ones are all taken.
    #[must_use]
    pub fn free_name(&self, name: &str) -> String {
        if !self.names.contains(name) {
            return name.to_owned();
        }
        let numbered = |number: usize| format!("{name}_{number}");
        let taken = |number: usize| number < 2 || self.names.contains(&numbered(number));
        // A binary search: a file may give one name to all of its nodes, and a linear one would take quadratic time.
        let mut free = 2;
        while taken(free) {
            free *= 2;
        }
        let mut last_taken = free / 2;
        while free - last_taken > 1 {
            let middle = last_taken.midpoint(free);
            if taken(middle) { last_taken = middle } else { free = middle }
        }
        numbered(free)
    }
}
