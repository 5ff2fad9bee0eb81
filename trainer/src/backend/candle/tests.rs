//! What only this backend has.

use super::CandleDevice;
use super::executor::CandleExecutor;
use super::tensors::download;
use crate::backend::ExecutorSpec;
use crate::backend::tests::probe::Probe;

impl CandleExecutor {
    pub(in crate::backend) fn with_input_gradient(spec: &ExecutorSpec<'_>, device: &CandleDevice) -> Self {
        let mut executor = Self::open(spec, device).unwrap();
        executor.plan.need_input_gradient();
        executor
    }
}

impl Probe for CandleExecutor {
    fn backward_to_input(&mut self, dlogits: &[f32]) -> Vec<f32> {
        download(&self.add_gradients(dlogits).unwrap().unwrap()).unwrap()
    }
}
