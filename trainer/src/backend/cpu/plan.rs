//! In which steps a network is computed, and what of it training needs.

use models::graph::NodeId;
use models::{Graph, Node};

use super::layer::{Layer, Reads};
use super::layers::{LayerSpec, layer};
use crate::backend::ComputeBackend;
use crate::backend::cpu::kernels::element::DType;
use crate::backend::fused::Fused;
use crate::backend::weights::Weights;

/// The steps of a network, in their order.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// How often each node's output is read by a step, the network's output counting once.
    pub(super) uses: Vec<usize>,
    /// Whether the backward pass reads a node's output.
    pub(super) saved: Vec<bool>,
    /// Whether the gradient of a node's output is computed.
    pub(super) needs_gradient: Vec<bool>,
}

/// One or a few nodes that are computed together.
pub(super) struct Step {
    pub(super) layer: Box<dyn Layer>,
    /// What they are, such as `BatchNorm + Relu`.
    pub(super) operators: String,
    /// The last one's name.
    pub(super) name: String,
    /// The nodes whose outputs it takes.
    pub(super) inputs: Vec<usize>,
    /// The node whose output it makes, the last of its own.
    pub(super) output: usize,
}

impl Plan {
    /// For training these parameters.
    pub(super) fn new(graph: &Graph, weights: &Weights, trained: &[bool], wants: &Wants<'_>) -> Self {
        let nodes = graph.nodes().len();
        let mut plan =
            Self { steps: vec![], uses: vec![0; nodes], saved: vec![false; nodes], needs_gradient: vec![false; nodes] };
        plan.needs_gradient[0] = wants.input == Gradient::Wanted;
        let dtypes = dtypes(graph, wants.kernels);
        for fused in Fused::steps(graph) {
            let (first, output) = (fused.nodes[0], fused.output());
            let param_ids = weights.param_ids(first.index());
            let spec = LayerSpec {
                kernels: wants.kernels,
                dtypes: fused.inputs.iter().map(|input| dtypes[input.index()]).collect(),
                dtype: dtypes[output.index()],
                op: &graph.node(first).op,
                inputs: fused.inputs.iter().map(|&input| graph.shape(input)).collect(),
                output: graph.shape(output),
                param_ids,
                trained: param_ids.iter().map(|&id| trained[id]).collect(),
                epilogue: fused.epilogue,
                number: plan.steps.len() as u64,
            };
            let own = if spec.trained.contains(&true) { Gradient::Wanted } else { Gradient::Unwanted };
            let operators = fused.nodes.iter().map(|&id| graph.node(id).op.operator().kind());
            let step = Step {
                layer: layer(&spec),
                operators: operators.collect::<Vec<_>>().join(" + "),
                name: graph.node(output).name.clone(),
                inputs: fused.inputs.iter().map(|input| input.index()).collect(),
                output: output.index(),
            };
            plan.push(step, own);
        }
        plan.uses[graph.output().index()] += 1;
        plan
    }

    /// A step, and whether gradients of its own parameters are computed.
    fn push(&mut self, step: Step, own: Gradient) {
        step.inputs.iter().for_each(|&input| self.uses[input] += 1);
        self.needs_gradient[step.output] =
            own == Gradient::Wanted || step.inputs.iter().any(|&input| self.needs_gradient[input]);
        if self.needs_gradient[step.output] {
            let Reads { inputs, output } = step.layer.reads();
            step.inputs.iter().for_each(|&input| self.saved[input] |= inputs);
            self.saved[step.output] |= output;
        }
        self.steps.push(step);
    }
}

/// How the steps are wanted.
pub(super) struct Wants<'a> {
    /// The gradient of the input.
    pub(super) input: Gradient,
    pub(super) kernels: &'a ComputeBackend,
}

/// The dtype of each node's output. The network's input and output are `f32`, whatever is between them.
fn dtypes(graph: &Graph, kernels: &ComputeBackend) -> Vec<DType> {
    let format = |(id, _): (NodeId, &Node)| {
        let outside = id == graph.input() || id == graph.output();
        if outside { DType::F32 } else { kernels.dtype(graph.shape(id)) }
    };
    graph.iter().map(format).collect()
}

/// Whether a gradient is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gradient {
    Wanted,
    Unwanted,
}
