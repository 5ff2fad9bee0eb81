//! What happens where the memory takes fewer images at once than a batch has.

use models::Tensor;

use super::*;
use crate::backend::{Executor, State};
use crate::optim::Step;

/// An executor without memory for more than so many images in training.
struct Limited {
    inner: Box<dyn Executor>,
    most: usize,
}

impl Executor for Limited {
    fn parameters(&self) -> &[Parameter] {
        self.inner.parameters()
    }

    fn trained(&self) -> &[bool] {
        self.inner.trained()
    }

    fn outputs(&self) -> usize {
        self.inner.outputs()
    }

    fn infer_nhwc(&self, images: &[f32]) -> Result<Vec<f32>, ExecError> {
        self.inner.infer_nhwc(images)
    }

    fn infer_nchw(&self, input: &Tensor) -> Result<Tensor, ExecError> {
        self.inner.infer_nchw(input)
    }

    fn forward_train(&mut self, images: &[f32], seed: u64) -> Result<Vec<f32>, ExecError> {
        match images.len() / 108 > self.most {
            true => Err(ExecError::DeviceMemory { device: "cuda:0".to_owned(), message: "out of memory".to_owned() }),
            false => self.inner.forward_train(images, seed),
        }
    }

    fn backward(&mut self, dlogits: &[f32]) -> Result<(), ExecError> {
        self.inner.backward(dlogits)
    }

    fn gradient_norm(&self) -> Result<f64, ExecError> {
        self.inner.gradient_norm()
    }

    fn apply(&mut self, step: Step) -> Result<(), ExecError> {
        self.inner.apply(step)
    }

    fn swap_averages(&mut self) -> Result<(), ExecError> {
        self.inner.swap_averages()
    }

    fn read_weights(&self) -> Result<Params, ExecError> {
        self.inner.read_weights()
    }

    fn write_weights(&mut self, params: &Params) -> Result<(), ExecError> {
        self.inner.write_weights(params)
    }

    fn read_gradients(&self) -> Result<Params, ExecError> {
        self.inner.read_gradients()
    }

    fn read_state(&self) -> Result<State<'_>, ExecError> {
        self.inner.read_state()
    }

    fn write_state(&mut self, state: &State<'_>) -> Result<(), ExecError> {
        self.inner.write_state(state)
    }
}

/// The warnings of a run.
#[derive(Default)]
pub(super) struct Warnings(pub(super) Vec<String>);

impl Observer for Warnings {
    fn event(&mut self, event: Event) {
        if let Event::Warning { message } = event {
            self.0.push(message);
        }
    }

    fn stopped(&self) -> bool {
        false
    }
}

/// Without statistics of the batch and without random numbers.
fn plain() -> Graph {
    let mut builder = GraphBuilder::new("x", Shape::image(3, 6, 6));
    let conv = builder.push("conv", Conv2d::new(3, 8, 3).padding(1), &[builder.input()]).unwrap();
    let relu = builder.push("relu", Relu, &[conv]).unwrap();
    let pool = builder.push("pool", GlobalAvgPool, &[relu]).unwrap();
    let flat = builder.push("flat", Flatten, &[pool]).unwrap();
    let head = builder.push("head", Linear::new(8, CLASSES), &[flat]).unwrap();
    builder.finish(head)
}

/// A run with memory for so many images, and what it warns of.
fn limited(graph: &Graph, options: &FitOptions, most: usize) -> Result<(Fitted, Vec<String>), FitError> {
    let task = Task {
        graph,
        params: &init::he(graph, 0),
        trains: &|_| true,
        training: &examples(100, 1),
        label_sets: None,
        teacher: None,
        validation: None,
        options,
        backend: &ComputeBackend::Rust,
        checkpoints: None,
        logs: Logs::default(),
    };
    let training = training::Training::start(task)?.with_executor(|inner| Box::new(Limited { inner, most }));
    let mut warnings = Warnings::default();
    Ok((training.run(&mut warnings)?, warnings.0))
}

#[test]
fn a_batch_in_parts_makes_the_same_step() {
    let graph = plain();
    let options = FitOptions { clip_norm: Some(0.5), ..options() };
    let (whole, silence) = limited(&graph, &options, 100).unwrap();
    let (parts, warnings) = limited(&graph, &options, 5).unwrap();
    assert!(silence.is_empty(), "{silence:?}");
    let [first, second] = &warnings[..] else { panic!("16 to 8, and 8 to 4: {warnings:?}") };
    assert!(first.contains("cuda:0") && first.contains("8 images at once"), "{first}");
    assert!(second.contains("4 images at once") && !second.contains("statistics"), "{second}");
    for (name, expected) in whole.params.iter() {
        let actual = parts.params.get(name).unwrap().data();
        let furthest = actual.iter().zip(expected.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Gradients of a batch are sums in another order, 6e-8 of numbers about one, in each of 28 steps.
        assert!(furthest < 2e-5, "{name}: {furthest}");
    }
    assert_eq!(parts.progress.step, whole.progress.step);
}

#[test]
fn statistics_of_fewer_images_are_said() {
    let (_, warnings) = limited(&network(), &options(), 8).unwrap();
    assert!(matches!(&warnings[..], [one] if one.contains("its statistics of 8 images")), "{warnings:?}");
}

#[test]
fn where_not_one_image_fits_the_run_fails() {
    let failed = limited(&plain(), &options(), 0).unwrap_err();
    assert!(matches!(failed, FitError::Exec(ExecError::DeviceMemory { .. })), "{failed}");
}
