//! What is computed as one step: a node with the sum and the ReLU behind it.

use models::graph::NodeId;
use models::ops::Op;
use models::{Graph, Node};

use super::cpu::kernels::epilogue::Epilogue;

/// A node with those behind it that nobody else reads, as far as its layer computes them too.
pub(super) struct Fused {
    /// The first does the work, those behind it are the epilogue.
    pub(super) nodes: Vec<NodeId>,
    pub(super) inputs: Vec<NodeId>,
    pub(super) epilogue: Epilogue,
}

impl Fused {
    /// The steps of a network, in their order. Dropout's random numbers depend on a step's place among them.
    pub(super) fn steps(graph: &Graph) -> Vec<Self> {
        let mut covered = vec![false; graph.nodes().len()];
        let mut steps = Vec::new();
        for (id, node) in graph.iter().skip(1) {
            if !covered[id.index()] {
                let step = Self::at(graph, id, node);
                step.nodes.iter().for_each(|id| covered[id.index()] = true);
                steps.push(step);
            }
        }
        steps
    }

    /// The node whose output a step makes.
    pub(super) fn output(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1]
    }

    fn at(graph: &Graph, id: NodeId, node: &Node) -> Self {
        let mut fused = Self { nodes: vec![id], inputs: node.inputs.clone(), epilogue: Epilogue::Identity };
        let (sums, ends) = match &node.op {
            Op::BatchNorm(_) => (true, true),
            Op::Conv2d(_) | Op::Add(_) => (false, true),
            _ => (false, false),
        };
        let mut last = id;
        if let (true, Some(add)) = (sums, only_reader(graph, last)) {
            // Of the two that are added, the later takes the other for its input.
            if let (Op::Add(_), &[a, b]) = (&graph.node(add).op, &graph.node(add).inputs[..])
                && a != b
                && a.max(b) == last
            {
                fused.nodes.push(add);
                fused.inputs.push(a.min(b));
                fused.epilogue = Epilogue::Add;
                last = add;
            }
        }
        if let (true, Some(relu)) = (ends, only_reader(graph, last))
            && matches!(graph.node(relu).op, Op::Relu(_))
        {
            fused.nodes.push(relu);
            fused.epilogue = fused.epilogue.with_relu();
        }
        fused
    }
}

/// The node that alone reads this one's output.
fn only_reader(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let mut readers = graph.consumers(id);
    let first = readers.next()?;
    (readers.next().is_none() && graph.output() != id).then_some(first)
}
