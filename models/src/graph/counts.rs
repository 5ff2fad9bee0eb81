//! What a network costs.

use super::Graph;

/// Sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Trainable numbers, as papers and torchvision count them: running statistics are not among them.
    pub parameters: u64,
    /// Multiply-accumulates for one image. torchvision's "GFLOPS" and the papers' FLOPs are these.
    pub macs: u64,
}

impl Counts {
    /// Floating-point operations for one image: a multiply-accumulate is two.
    #[must_use]
    pub fn flops(&self) -> u64 {
        2 * self.macs
    }
}

impl Graph {
    /// Counts parameters and arithmetic. A parameter that two nodes share counts once.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut seen = std::collections::HashSet::new();
        let parameters = self
            .nodes()
            .iter()
            .flat_map(|node| node.params())
            .filter(|(name, param)| param.trainable && seen.insert(*name))
            .map(|(_, param)| param.shape.iter().product::<usize>() as u64)
            .sum();
        let macs = self.iter().map(|(id, node)| node.op.operator().macs(self.shape(id))).sum();
        Counts { parameters, macs }
    }
}
