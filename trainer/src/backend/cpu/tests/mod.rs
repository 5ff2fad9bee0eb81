//! What only this backend promises: its bits, and oneDNN's convolutions in it.

mod onednn;

use models::Params;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::CpuExecutor;
use super::plan::{Gradient, Wants};
use crate::backend::tests::probe::Probe;
use crate::backend::tests::random::random;
use crate::backend::{ComputeBackend, Executor, ExecutorSpec};

impl CpuExecutor {
    pub(in crate::backend) fn with_input_gradient(spec: &ExecutorSpec<'_>, kernels: &ComputeBackend) -> Self {
        let wants = Wants { input: Gradient::Wanted, kernels };
        Self::with_gradient(spec.graph, spec.params, spec.trains, &wants).unwrap()
    }
}

impl Probe for CpuExecutor {
    fn backward_to_input(&mut self, dlogits: &[f32]) -> Vec<f32> {
        self.add_gradients(dlogits).unwrap().unwrap().numbers().to_vec()
    }
}

/// A step of a small residual network: what it answers and what it finds for every parameter.
fn step(threads: usize) -> (Vec<f32>, Params) {
    let graph = models::zoo::find("resnet20_cifar").unwrap().graph([32, 32], 10).unwrap();
    let params = models::init::he(&graph, 5);
    let images = random(6 * 3 * 32 * 32, &mut ChaCha8Rng::seed_from_u64(1));
    let run = || {
        let mut executor = CpuExecutor::new(&graph, &params).unwrap();
        let y = executor.forward_train(&images, 0).unwrap();
        executor.backward(&vec![0.1; y.len()]).unwrap();
        (y, executor.read_gradients().unwrap())
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let one = step(1);
    assert!(one.0.iter().all(|y| y.is_finite()));
    for threads in [2, 3, 5] {
        assert!(step(threads) == one, "{threads} threads");
    }
}
