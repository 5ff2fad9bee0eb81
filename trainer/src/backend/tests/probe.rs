//! Executors that tell the gradient of their input too, which training does not need.

use models::{Graph, Params};

use crate::backend::{ComputeBackend, CpuExecutor, Executor, Parameter};

/// An executor whose backward pass goes on to the network's input.
pub(in crate::backend) trait Probe: Executor {
    /// [`Executor::backward`], and the gradient of the input, in the order of the images' numbers.
    fn backward_to_input(&mut self, dlogits: &[f32]) -> Vec<f32>;
}

/// A network on a backend without an optimizer.
pub(in crate::backend) fn probe(
    backend: &ComputeBackend,
    graph: &Graph,
    params: &Params,
    trains: &dyn Fn(&Parameter) -> bool,
) -> Box<dyn Probe> {
    let spec = crate::backend::ExecutorSpec { graph, params, trains, update: None };
    match backend {
        #[cfg(feature = "candle")]
        ComputeBackend::Candle(device, precision) => {
            Box::new(crate::backend::candle::CandleExecutor::with_input_gradient(&spec, device, *precision))
        }
        kernels => Box::new(CpuExecutor::with_input_gradient(&spec, kernels)),
    }
}
