//! Finds the classifier of a network and replaces it.

use super::{Graph, GraphBuilder, GraphError, NodeId};
use crate::ops::{Activation, Flatten, GlobalAvgPool, Linear, Op};

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

/// A linear head that is yet to be put on a network.
#[derive(Debug, Clone, Copy)]
pub struct NewHead<'a> {
    /// The name of its node.
    pub name: &'a str,
    /// How many classes it tells apart.
    pub classes: usize,
    /// The last node of the network that stays.
    pub behind: NodeId,
    /// What is done to that node's output, one step after the other, before the linear layer takes it as a vector.
    pub steps: &'a [Op],
}

impl Graph {
    /// The classifier, found by walking back from the output over operators that only move, shift or squash the
    /// scores. `None` for a backbone without a head.
    #[must_use]
    pub fn classifier(&self) -> Option<Classifier> {
        let mut id = self.output();
        let mut averaged = false;
        loop {
            let node = self.node(id);
            if let Some(scores) = self.shifted(id) {
                id = scores;
                continue;
            }
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

    /// The scores that this node adds something to that is read off one number of the image, which tells no classes apart: how
    /// familiar the image is. `None` for any other node. Structure alone is looked at: that the number is the same for all classes is
    /// known by the weights.
    #[must_use]
    pub fn shifted(&self, id: NodeId) -> Option<NodeId> {
        let node = self.node(id);
        let (Op::Add(_), &[scores, shift]) = (&node.op, &node.inputs[..]) else { return None };
        let Op::Linear(Linear { in_features: 1, .. }) = self.node(shift).op else { return None };
        Some(scores)
    }

    /// Whether all dimensions but one are of length one.
    fn is_vector(&self, id: NodeId) -> bool {
        self.shape(id).dims().iter().filter(|&&size| size != 1).count() <= 1
    }

    /// What the classifier reads, or the output of a backbone without one. Powers and lengths that an earlier head divided
    /// its features by belong to that head.
    fn classifier_input(&self) -> NodeId {
        let mut last = match self.classifier() {
            Some(classifier) => self.node(classifier.node()).inputs[0],
            None => return self.output(),
        };
        while matches!(self.node(last).op, Op::L2Norm(_) | Op::Activation(Activation::SignedSqrt)) {
            last = self.node(last).inputs[0];
        }
        last
    }

    /// The feature map of more than one pixel that the classifier reads, flattened or as it is: `[c, h, w]`. `None` where
    /// the network averages it or its class maps, as most do, or has layers of its own behind it.
    #[must_use]
    pub fn feature_map(&self) -> Option<NodeId> {
        if let Some(Classifier::Pointwise(_)) = self.classifier() {
            return None;
        }
        let last = self.classifier_input();
        let map = match self.node(last).op {
            Op::Flatten(_) => self.node(last).inputs[0],
            _ => last,
        };
        (self.shape(map).dims().len() == 3 && !self.is_vector(map)).then_some(map)
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
        let behind = self.classifier_input();
        let steps: &[Op] = match self.shape(behind).dims() {
            [_, 1, 1] => &[Op::Flatten(Flatten)],
            [_, _, _] => &[Op::GlobalAvgPool(GlobalAvgPool), Op::Flatten(Flatten)],
            _ => &[],
        };
        self.graft_behind(&NewHead { name, classes, behind, steps })
    }

    /// Replaces everything behind a node by a new head.
    ///
    /// # Errors
    /// [`GraphError::NoFeatures`] when the head's steps do not end in a vector, and whatever is wrong with a step.
    pub fn graft_behind(&self, new: &NewHead<'_>) -> Result<GraftedGraph, GraphError> {
        let mut builder = GraphBuilder::from(self.prefix(new.behind));
        let mut features = NodeId(builder.nodes.len() - 1);
        for step in new.steps {
            let name = builder.free_name(step_name(step));
            features = builder.push(&name, step.clone(), &[features])?;
        }
        let shape = builder.shape(features);
        let &[width] = shape.dims() else {
            return Err(GraphError::NoFeatures { node: builder.node(features).name.clone(), shape: shape.to_string() });
        };
        let head = builder.push(&builder.free_name(new.name), Linear::new(width, new.classes), &[features])?;
        Ok(GraftedGraph { graph: builder.finish(head), features, head })
    }
}

/// What a step between features and head is called in state dicts and messages.
fn step_name(step: &Op) -> &'static str {
    match step {
        Op::Flatten(_) => "features.flatten",
        Op::Activation(_) => "features.power",
        Op::L2Norm(_) => "features.norm",
        // The hidden layers of a head.
        Op::Linear(_) => "graft.hidden",
        Op::Relu(_) => "graft.relu",
        Op::Dropout(_) => "graft.dropout",
        _ => "features.pool",
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
