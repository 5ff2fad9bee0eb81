//! In which steps a network is computed on a device.

use candle_core::{Result, Tensor};
use models::Graph;

use super::layer::Layer;
use super::layers::{LayerSpec, layer};
use super::products::{Arithmetic, Products};
use crate::backend::cpu::kernels::epilogue::Epilogue;
use crate::backend::fused::Fused;
use crate::backend::weights::Weights;

/// The steps of a network, in their order.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// How often each node's output is read by a step, the network's output counting once.
    pub(super) uses: Vec<usize>,
    /// Whether the gradient of a node's output is computed.
    pub(super) needs_gradient: Vec<bool>,
}

/// One or a few nodes that are computed together.
pub(super) struct Step {
    pub(super) layer: Box<dyn Layer>,
    pub(super) epilogue: Epilogue,
    /// The nodes whose outputs it takes; what is added behind the layer is the last.
    pub(super) inputs: Vec<usize>,
    /// The node whose output it makes, the last of its own.
    pub(super) output: usize,
}

impl Step {
    /// The inputs of the layer itself.
    pub(super) fn own(&self) -> usize {
        self.inputs.len() - usize::from(self.epilogue.has_add())
    }
}

impl Plan {
    /// For training these parameters, without the gradient of the network's input.
    pub(super) fn new(
        graph: &Graph,
        weights: &Weights<Tensor>,
        trained: &[bool],
        arithmetic: Arithmetic<'_>,
    ) -> Result<Self> {
        let nodes = graph.nodes().len();
        let mut plan = Self { steps: vec![], uses: vec![0; nodes], needs_gradient: vec![false; nodes] };
        for (number, fused) in Fused::steps(graph).into_iter().enumerate() {
            let (first, output) = (fused.nodes[0], fused.output());
            let param_ids = weights.param_ids(first.index());
            let spec = LayerSpec {
                op: &graph.node(first).op,
                inputs: graph.node(first).inputs.iter().map(|&input| graph.shape(input)).collect(),
                output: graph.shape(first),
                param_ids,
                trained: param_ids.iter().map(|&id| trained[id]).collect(),
                number: number as u64,
                device: arithmetic.device,
                products: Products::new(arithmetic),
            };
            let step = Step {
                layer: layer(&spec)?,
                epilogue: fused.epilogue,
                inputs: fused.inputs.iter().map(|input| input.index()).collect(),
                output: output.index(),
            };
            step.inputs.iter().for_each(|&input| plan.uses[input] += 1);
            plan.steps.push(step);
        }
        plan.uses[graph.output().index()] += 1;
        plan.find_gradients(graph, weights, trained);
        Ok(plan)
    }

    /// Which gradients the trained parameters need.
    fn find_gradients(&mut self, graph: &Graph, weights: &Weights<Tensor>, trained: &[bool]) {
        for (step, fused) in self.steps.iter().zip(Fused::steps(graph)) {
            let trains = weights.param_ids(fused.nodes[0].index()).iter().any(|&id| trained[id]);
            let passes = step.inputs.iter().any(|&input| self.needs_gradient[input]);
            self.needs_gradient[step.output] = trains || passes;
        }
    }

    /// Computes the gradient of the network's input too.
    #[cfg(test)]
    pub(super) fn need_input_gradient(&mut self) {
        self.needs_gradient[0] = true;
        for step in &self.steps {
            let passes = step.inputs.iter().any(|&input| self.needs_gradient[input]);
            self.needs_gradient[step.output] |= passes;
        }
    }
}
