//! What only this backend has.

mod bf16;

use super::CandleDevice;
use super::executor::CandleExecutor;
use super::tensors::download;
use crate::backend::tests::probe::Probe;
use crate::backend::{ExecutorSpec, Precision};

impl CandleExecutor {
    pub(in crate::backend) fn with_input_gradient(
        spec: &ExecutorSpec<'_>,
        device: &CandleDevice,
        precision: Precision,
    ) -> Self {
        let mut executor = Self::open(spec, device, precision).unwrap();
        executor.plan.need_input_gradient();
        executor
    }
}

impl Probe for CandleExecutor {
    fn backward_to_input(&mut self, dlogits: &[f32]) -> Vec<f32> {
        download(&self.add_gradients(dlogits).unwrap().unwrap()).unwrap()
    }
}
