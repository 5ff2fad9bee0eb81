//! Parameters, arithmetic and memory of a network.

use std::collections::HashSet;

use super::{Graph, Node, NodeId};
use crate::ops::numbers;

/// Bytes of an `f32`.
const NUMBER: u64 = 4;

/// Sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Trainable numbers, as papers and torchvision count them: running statistics are not among them.
    pub parameters: u64,
    /// Multiply-accumulates for one image. torchvision's "GFLOPS" and the papers' FLOPs are these.
    pub macs: u64,
    /// Bytes of every stored number, running statistics included.
    pub weight_bytes: u64,
    /// Peak bytes of the outputs alive at one time during inference on one image, each freed after its last use.
    pub inference_bytes: u64,
    /// Bytes of all outputs of one image, which training keeps for the backward pass.
    pub training_bytes: u64,
}

impl Counts {
    /// Floating-point operations for one image: a multiply-accumulate is two.
    #[must_use]
    pub fn flops(&self) -> u64 {
        self.macs.saturating_mul(2)
    }
}

impl Node {
    /// The number of trainable parameters of the node.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let trainable = self.params().filter(|(_, param)| param.trainable);
        trainable.map(|(_, param)| numbers(&param.shape) as u64).sum()
    }
}

impl Graph {
    /// Counts parameters, arithmetic and memory. A parameter that two nodes share counts once.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut seen = HashSet::new();
        let (mut parameters, mut stored) = (0, 0);
        for (_, param) in self.nodes().iter().flat_map(|node| node.params()).filter(|(name, _)| seen.insert(*name)) {
            let numbers = numbers(&param.shape) as u64;
            stored += numbers;
            parameters += if param.trainable { numbers } else { 0 };
        }
        let macs = self.iter().map(|(id, node)| node.op.operator().macs(self.shape(id)));
        Counts {
            parameters,
            macs: macs.fold(0, u64::saturating_add),
            weight_bytes: NUMBER * stored,
            inference_bytes: NUMBER * self.most_alive(),
            training_bytes: NUMBER * self.iter().map(|(id, _)| self.numbers(id)).sum::<u64>(),
        }
    }

    fn numbers(&self, id: NodeId) -> u64 {
        self.shape(id).len() as u64
    }

    /// The most numbers alive at a time: those a node takes, its own output, and what later nodes still want.
    fn most_alive(&self) -> u64 {
        let mut pending = self.uses();
        let (mut alive, mut most) = (0, 0);
        for (id, node) in self.iter() {
            alive += self.numbers(id);
            most = most.max(alive);
            for input in &node.inputs {
                pending[input.index()] -= 1;
                if pending[input.index()] == 0 {
                    alive -= self.numbers(*input);
                }
            }
        }
        most
    }
}
