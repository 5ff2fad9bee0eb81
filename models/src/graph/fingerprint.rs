//! Identifies networks by their structure.

use sha2::{Digest, Sha256};

use super::{Graph, Node, NodeId};
use crate::ops::{BatchNorm, Conv2d, Op};

/// A checksum of a network's structure: operators, attributes and connections. It ignores names, weights, dropout, the
/// normalization of the pixels and the order of independent nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Whether a fingerprint includes batch normalization behind a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// As in the graph.
    Keep,
    /// As if it were folded into the convolution.
    Fold,
}

impl Graph {
    /// The network's fingerprint.
    #[must_use]
    pub fn fingerprint(&self, folding: Folding) -> Fingerprint {
        let uses = self.uses();
        let mut prints: Vec<Fingerprint> = Vec::with_capacity(self.nodes().len());
        for (_, node) in self.iter() {
            let inputs: Vec<Fingerprint> = node.inputs.iter().map(|id| prints[id.index()]).collect();
            let print = match &node.op {
                Op::Dropout(_) | Op::Normalize(_) => inputs[0],
                Op::BatchNorm(_) if folding == Folding::Fold && self.follows_convolution(node, &uses) => inputs[0],
                op => of(&describe(op, folding), inputs),
            };
            prints.push(print);
        }
        prints[self.output().index()]
    }

    fn follows_convolution(&self, norm: &Node, uses: &[usize]) -> bool {
        let before: NodeId = norm.inputs[0];
        matches!(self.node(before).op, Op::Conv2d(_)) && uses[before.index()] == 1
    }
}

/// The operator with its attributes, but for those that no reader of ONNX can know.
fn describe(op: &Op, folding: Folding) -> String {
    match op {
        Op::Conv2d(conv) if folding == Folding::Fold => format!("{:?}", Conv2d { bias: true, ..conv.clone() }),
        Op::BatchNorm(norm) => format!("{:?}", BatchNorm { eps: norm.eps, ..BatchNorm::new(norm.channels) }),
        op => format!("{op:?}"),
    }
}

/// Of an operator and its inputs, whose order says nothing for a sum.
fn of(text: &str, mut inputs: Vec<Fingerprint>) -> Fingerprint {
    if text.starts_with("Add") {
        inputs.sort_unstable_by_key(|print| print.0);
    }
    let mut hash = Sha256::new();
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
    inputs.iter().for_each(|input| hash.update(input.0));
    Fingerprint(hash.finalize().into())
}
