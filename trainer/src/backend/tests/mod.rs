//! What every backend must do, for each row of a table.

pub(super) mod cases;
pub(super) mod gradients;
pub(super) mod probe;
pub(super) mod random;
pub(super) mod reference;

use models::ops::{BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, Relu, Shape};
use models::{Graph, GraphBuilder, Params, init};

use super::*;
use crate::optim::{EmaOptions, EmaWarmUp, Groups, OptimizerKind, Step};

/// Those that compute in `f32` by kernels that are compiled in, and where there is a CUDA device and they are built for it, by
/// that. A new one adds its row here.
pub(super) fn exact_backends() -> Vec<ComputeBackend> {
    vec![
        ComputeBackend::Rust,
        #[cfg(feature = "candle")]
        ComputeBackend::Candle(CandleDevice::cpu(), Precision::F32),
    ]
    .into_iter()
    .chain(cuda())
    .collect()
}

#[cfg(feature = "cuda")]
pub(in crate::backend) fn cuda() -> Option<ComputeBackend> {
    Some(ComputeBackend::Candle(CandleDevice::cuda(0).ok()?, Precision::F32))
}

#[cfg(not(feature = "cuda"))]
pub(in crate::backend) fn cuda() -> Option<ComputeBackend> {
    None
}

/// The backends of this machine.
fn backends() -> Vec<ComputeBackend> {
    let mut all = exact_backends();
    #[cfg(feature = "candle")]
    all.push(ComputeBackend::Candle(CandleDevice::cpu(), Precision::Bf16));
    if let Some(path) = fixtures::Library::OneDnn.path() {
        let library = OneDnn::load(&path).unwrap();
        all.push(ComputeBackend::OneDnn(library.clone(), Precision::F32));
        if fixtures::has_bf16() {
            all.push(ComputeBackend::OneDnn(library, Precision::Bf16));
        }
    }
    all
}

fn network() -> (Graph, Params) {
    let mut builder = GraphBuilder::new("x", Shape::image(3, 6, 6));
    let conv = builder.push("conv", Conv2d::new(3, 8, 3).padding(1), &[builder.input()]).unwrap();
    let norm = builder.push("norm", BatchNorm::new(8), &[conv]).unwrap();
    let relu = builder.push("relu", Relu, &[norm]).unwrap();
    let pool = builder.push("pool", GlobalAvgPool, &[relu]).unwrap();
    let flat = builder.push("flat", Flatten, &[pool]).unwrap();
    let head = builder.push("head", Linear::new(8, 3), &[flat]).unwrap();
    let graph = builder.finish(head);
    let params = init::he(&graph, 0);
    (graph, params)
}

fn open(backend: &ComputeBackend) -> Box<dyn Executor> {
    let (graph, params) = network();
    let update = UpdateRule {
        kind: OptimizerKind::Sgd { momentum: 0.9, nesterov: true },
        groups: Groups { weight_decay: 1e-3, ..Groups::default() },
        ema: Some(EmaOptions { decay: 0.9, warm_up: EmaWarmUp::Counted }),
    };
    let spec = ExecutorSpec { graph: &graph, params: &params, trains: &|_| true, update: Some(update) };
    backend.open(&spec).unwrap()
}

/// Two images.
fn images() -> Vec<f32> {
    (0..2 * 108).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect()
}

const DLOGITS: [f32; 6] = [0.5, -0.25, -0.25, 0.125, 0.25, -0.375];

fn step(executor: &mut dyn Executor) -> Vec<f32> {
    let logits = executor.forward_train(&images(), 1).unwrap();
    executor.backward(&DLOGITS).unwrap();
    executor.apply(Step::at(0.05)).unwrap();
    logits
}

#[test]
fn gradients_of_several_batches_add_up_until_a_step() {
    for backend in backends() {
        let mut executor = open(&backend);
        executor.forward_train(&images(), 1).unwrap();
        executor.backward(&DLOGITS).unwrap();
        let (once, norm) = (executor.read_gradients().unwrap(), executor.gradient_norm().unwrap());
        executor.forward_train(&images(), 1).unwrap();
        executor.backward(&DLOGITS).unwrap();
        let twice = executor.read_gradients().unwrap();
        for (name, once) in once.iter() {
            let doubled: Vec<f32> = once.data().iter().map(|number| 2.0 * number).collect();
            assert_eq!(twice.get(name).unwrap().data(), doubled, "{backend} {name}");
        }
        assert!((executor.gradient_norm().unwrap() - 2.0 * norm).abs() < 1e-9 * norm, "{backend}");
        executor.apply(Step::at(0.05)).unwrap();
        assert_eq!(executor.read_gradients().unwrap(), Params::default(), "{backend}");
    }
}

#[test]
fn a_state_continues_to_the_bit() {
    for backend in backends() {
        let mut through = open(&backend);
        step(&mut *through);
        step(&mut *through);
        let state: State<'static> = through
            .read_state()
            .unwrap()
            .into_iter()
            .map(|(key, numbers)| (key, numbers.into_owned().into()))
            .collect();
        let mut resumed = open(&backend);
        resumed.write_state(&state).unwrap();
        assert_eq!(step(&mut *resumed), step(&mut *through), "{backend}");
        assert_eq!(resumed.read_state().unwrap(), through.read_state().unwrap(), "{backend}");

        let short: State<'_> = state.iter().skip(1).map(|(key, numbers)| (key.clone(), numbers.clone())).collect();
        let refused = resumed.write_state(&short).unwrap_err();
        assert!(matches!(refused, ExecError::State(StateError::Missing { .. })), "{backend}: {refused}");
    }
}

#[test]
fn averages_take_the_place_of_the_weights_and_give_it_back() {
    for backend in backends() {
        let mut executor = open(&backend);
        step(&mut *executor);
        let own = executor.read_weights().unwrap();
        executor.swap_averages().unwrap();
        assert_ne!(executor.read_weights().unwrap(), own, "{backend}");
        executor.swap_averages().unwrap();
        assert_eq!(executor.read_weights().unwrap(), own, "{backend}");
    }
}

#[test]
fn weights_are_read_as_they_were_written() {
    for backend in backends() {
        let (graph, _) = network();
        let other = init::he(&graph, 9);
        let mut executor = open(&backend);
        executor.write_weights(&other).unwrap();
        assert_eq!(executor.read_weights().unwrap(), other, "{backend}");
        let refused = executor.write_weights(&Params::default()).unwrap_err();
        assert!(matches!(refused, ExecError::State(StateError::Missing { .. })), "{backend}: {refused}");
    }
}

#[test]
fn passes_out_of_order_are_errors() {
    for backend in backends() {
        let mut executor = open(&backend);
        let refused = executor.backward(&DLOGITS).unwrap_err();
        assert!(matches!(refused, ExecError::NoForwardPass), "{backend}: {refused}");
        executor.forward_train(&images(), 1).unwrap();
        let refused = executor.backward(&DLOGITS[..3]).unwrap_err();
        assert!(matches!(refused, ExecError::Input { .. }), "{backend}: {refused}");
        let (graph, params) = network();
        let spec = ExecutorSpec { graph: &graph, params: &params, trains: &|_| true, update: None };
        let refused = backend.open(&spec).unwrap().apply(Step::at(0.1)).unwrap_err();
        assert!(matches!(refused, ExecError::NoUpdateRule), "{backend}: {refused}");
    }
}
