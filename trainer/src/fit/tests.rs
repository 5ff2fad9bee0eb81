//! Runs on a small network that learns which of three blobs an image has.

mod memory;

use std::cell::Cell;
use std::path::Path;

use models::ops::{BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, Relu, Shape};
use models::{Graph, GraphBuilder, Params, init};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::events::{Event, Unobserved};
use crate::fit::stopping::StoppingOptions;
use crate::logs::{CsvLog, EventLog, Log, LogStart};
use crate::metrics::Better;
use crate::optim::schedule::Schedule;
use crate::optim::{EmaOptions, EmaWarmUp, Groups, OptimizerKind};

const CLASSES: usize = 3;

fn network() -> Graph {
    let mut builder = GraphBuilder::new("x", Shape::image(3, 6, 6));
    let conv = builder.push("conv", Conv2d::new(3, 8, 3).padding(1).without_bias(), &[builder.input()]).unwrap();
    let norm = builder.push("norm", BatchNorm::new(8), &[conv]).unwrap();
    let relu = builder.push("relu", Relu, &[norm]).unwrap();
    let pool = builder.push("pool", GlobalAvgPool, &[relu]).unwrap();
    let flat = builder.push("flat", Flatten, &[pool]).unwrap();
    let dropout = builder.push("dropout", Dropout { p: 0.1 }, &[flat]).unwrap();
    let head = builder.push("head", Linear::new(8, CLASSES), &[dropout]).unwrap();
    builder.finish(head)
}

/// Images of noise, with one channel brighter.
fn examples(count: usize, seed: u64) -> FeatureExamples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let classes: Vec<usize> = (0..count).map(|at| at % CLASSES).collect();
    let mut number = |class: usize, at: usize| {
        let noise: f32 = rng.random_range(-1.0..1.0);
        if at % 3 == class { noise + 0.5 } else { noise }
    };
    let images = classes.iter().flat_map(|&class| (0..108).map(|at| number(class, at)).collect::<Vec<_>>()).collect();
    FeatureExamples::new(vec![images], classes, 0)
}

fn options() -> FitOptions {
    FitOptions {
        epochs: 4,
        batch_size: 16,
        optimizer: OptimizerKind::Sgd { momentum: 0.9, nesterov: true },
        groups: Groups { weight_decay: 1e-4, ..Groups::default() },
        schedule: Schedule::Cosine { rate: 0.05, end: 0.0, steps: 28 },
        mixup: Some(0.2),
        ema: Some(EmaOptions { decay: 0.9, warm_up: EmaWarmUp::Counted }),
        ..FitOptions::default()
    }
}

fn run(options: &FitOptions, folder: Option<&Path>, observer: &mut dyn Observer) -> Result<Fitted, FitError> {
    run_by(&ComputeBackend::Rust, options, folder, observer)
}

fn run_by(
    backend: &ComputeBackend,
    options: &FitOptions,
    folder: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<Fitted, FitError> {
    let graph = network();
    let (training, validation) = (examples(100, 1), examples(60, 2));
    fit(
        Task {
            graph: &graph,
            params: &init::he(&graph, 0),
            trains: &|_| true,
            training: &training,
            label_sets: None,
            teacher: None,
            validation: Some(&validation),
            options,
            backend,
            checkpoints: folder,
            logs: Logs::default(),
        },
        observer,
    )
}

fn params(fitted: &Fitted) -> &Params {
    &fitted.params
}

#[test]
fn a_network_learns() {
    let fitted = run(&options(), None, &mut Unobserved).unwrap();
    let history = &fitted.progress.history;
    // A third is chance; whoever looks for the brighter channel is right nearly always.
    assert!(fitted.progress.best.unwrap().top1 > 0.9, "{history:?}");
    assert_eq!((history.len(), fitted.progress.step), (4, 28));
}

#[test]
fn steps_have_rows_of_their_own_losses() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, columns: &[&str]| CsvLog::open(&folder.path().join(name), columns, LogStart::New).unwrap();
    let columns = ["train_loss", "train_top1", "learning_rate", "validation_loss", "validation_top1"];
    let events = EventLog::create(folder.path(), LogStart::New).unwrap();
    let event_file = events.path().to_owned();
    let logs = Logs {
        epochs: vec![Log::Csv(table("epochs", &columns)), Log::TensorBoard(events)],
        steps: vec![Log::Csv(table("steps", &["train_loss", "learning_rate"]))],
    };
    let graph = network();
    let options = FitOptions { epochs: 1, logging: LogOptions { every_steps: 1, histograms: true }, ..options() };
    let task = Task {
        graph: &graph,
        params: &init::he(&graph, 0),
        trains: &|_| true,
        training: &examples(100, 1),
        label_sets: None,
        teacher: None,
        validation: None,
        options: &options,
        backend: &ComputeBackend::Rust,
        checkpoints: None,
        logs,
    };
    let fitted = fit(task, &mut Unobserved).unwrap();
    let rows = std::fs::read_to_string(folder.path().join("steps")).unwrap();
    let rows: Vec<Vec<f64>> =
        rows.lines().skip(1).map(|row| row.split(',').map(|field| field.parse().unwrap()).collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    // Six batches of sixteen and one of four, of which the epoch's loss is the mean; sums in another order.
    let mean: f64 = rows.iter().zip([16.0, 16.0, 16.0, 16.0, 16.0, 16.0, 4.0]).map(|(row, n)| row[1] * n / 100.0).sum();
    assert!((mean - fitted.progress.history[0].train_loss).abs() < 1e-12);
    // A row has the rate that its step was done with, counted from 0.
    assert!(rows.iter().zip(0..).all(|(row, step)| row[2] == options.schedule.at(step)));
    let events = std::fs::read(event_file).unwrap();
    let holds = |name: &str| events.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(["weights/conv.weight", "weights/norm.bias", "weights/head.weight"].iter().all(|name| holds(name)));
}

/// Stops after so many batches.
struct Stopper(Cell<usize>);

impl Observer for Stopper {
    fn event(&mut self, _: Event) {}

    fn stopped(&self) -> bool {
        self.0.set(self.0.get().saturating_sub(1));
        self.0.get() == 0
    }
}

#[test]
fn a_run_that_is_stopped_again_and_again_ends_in_the_same_bits() {
    let weighted = FitOptions {
        cutmix: Some(1.0),
        sampling: Sampling::Weighted(vec![3.0, 1.0, 2.0]),
        loss: balanced_loss(),
        ..options()
    };
    for (options, every_steps, batches) in
        [(options(), None, 5), (options(), Some(2), 4), (options(), Some(3), 11), (weighted, Some(3), 7)]
    {
        let whole = run(&options, None, &mut Unobserved).unwrap();
        let checkpoints = CheckpointOptions { every_steps, keep: 2, ..CheckpointOptions::default() };
        let options = FitOptions { checkpoints, ..options };
        let folder = tempfile::tempdir().unwrap();
        let mut stops = 0;
        let resumed = loop {
            match run(&options, Some(folder.path()), &mut Stopper(Cell::new(batches))) {
                Ok(fitted) => break fitted,
                Err(FitError::Stopped) => stops += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(stops < 100, "no progress");
        };
        assert!(stops > 1);
        assert_eq!(resumed.params.checksum(), whole.params.checksum(), "stopped every {batches} batches");
        assert_eq!(resumed.progress, whole.progress);
    }
}

#[cfg(feature = "candle")]
mod devices {
    use super::memory::Warnings;
    use super::*;
    use crate::backend::{CandleDevice, Precision};

    fn device() -> ComputeBackend {
        ComputeBackend::Candle(CandleDevice::cpu(), Precision::F32)
    }

    #[test]
    fn a_device_learns_what_the_processor_learns() {
        let [own, other] =
            [ComputeBackend::Rust, device()].map(|by| run_by(&by, &options(), None, &mut Unobserved).unwrap());
        let pairs = own.progress.history.iter().zip(&other.progress.history);
        for (own, other) in pairs {
            // The first losses of both agree to the rounding of f32; 28 steps multiply the difference.
            assert!((own.train_loss - other.train_loss).abs() < 1e-4 * own.train_loss, "{own:?} {other:?}");
        }
    }

    /// The losses of all epochs. In bf16 every product is rounded to a 256th of itself at most, which need not change how a
    /// network learns.
    #[test]
    fn in_bf16_a_device_learns_as_much() {
        let half = device().in_precision(Precision::Bf16).unwrap();
        let [own, other] = [device(), half].map(|by| run_by(&by, &options(), None, &mut Unobserved).unwrap());
        let losses = |fitted: &Fitted| fitted.progress.history.iter().map(|epoch| epoch.train_loss).collect::<Vec<_>>();
        let (own, other) = (losses(&own), losses(&other));
        assert_ne!(own, other);
        assert!(other[3] < 0.9 * other[0], "{other:?}");
        assert!(own.iter().zip(&other).all(|(own, other)| (own - other).abs() < 0.02 * own), "{own:?} {other:?}");
    }

    #[test]
    fn a_device_goes_on_to_the_same_bits() {
        let whole = run_by(&device(), &options(), None, &mut Unobserved).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointOptions { every_steps: Some(3), ..CheckpointOptions::default() };
        let options = FitOptions { checkpoints, ..options() };
        let stopped = run_by(&device(), &options, Some(folder.path()), &mut Stopper(Cell::new(11))).unwrap_err();
        assert!(matches!(stopped, FitError::Stopped), "{stopped}");
        let resumed = run_by(&device(), &options, Some(folder.path()), &mut Unobserved).unwrap();
        assert_eq!(resumed.params.checksum(), whole.params.checksum());
    }

    #[test]
    fn a_run_moves_to_a_device_and_back_and_says_so() {
        let whole = run(&options(), None, &mut Unobserved).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let part = |epochs: u64, by: &ComputeBackend| {
            let mut warnings = Warnings::default();
            let options = FitOptions { epochs, ..options() };
            let fitted = run_by(by, &options, Some(folder.path()), &mut warnings).unwrap();
            (fitted, warnings.0)
        };
        let (_, silence) = part(1, &ComputeBackend::Rust);
        assert!(silence.is_empty(), "{silence:?}");
        let (_, said) = part(2, &device());
        assert!(matches!(&said[..], [one] if one.contains("rust f32, by candle on candle-cpu f32")), "{said:?}");
        let (_, silence) = part(3, &device());
        assert!(silence.is_empty(), "{silence:?}");
        let (moved, said) = part(4, &ComputeBackend::Rust);
        assert!(matches!(&said[..], [one] if one.contains("candle on candle-cpu f32, by rust f32")), "{said:?}");
        let losses = |fitted: &Fitted| fitted.progress.history.last().unwrap().train_loss;
        assert!((losses(&moved) - losses(&whole)).abs() < 1e-4 * losses(&whole));
    }
}

fn balanced_loss() -> LossOptions {
    LossOptions { class_weights: Some(ClassWeights::Balanced), ..LossOptions::default() }
}

/// Whose gradients are means over the classes' weights, where those count.
#[test]
fn accumulated_gradients_are_those_of_the_larger_batch() {
    // Without what depends on the batch: statistics, dropout's draw, mixing.
    let mut builder = GraphBuilder::new("x", Shape::image(3, 6, 6));
    let conv = builder.push("conv", Conv2d::new(3, 4, 3), &[builder.input()]).unwrap();
    let flat = builder.push("flat", Flatten, &[conv]).unwrap();
    let head = builder.push("head", Linear::new(64, CLASSES), &[flat]).unwrap();
    let graph = builder.finish(head);
    let start = init::he(&graph, 0);
    let training = examples(40, 1);
    for class_weights in [None, Some(ClassWeights::Listed(vec![0.5, 4.0, 1.0]))] {
        let loss = LossOptions { class_weights, ..LossOptions::default() };
        let plain = FitOptions { epochs: 2, batch_size: 16, seed: 7, loss, ..FitOptions::default() };
        let [large, small] = [(16, 1), (4, 4)].map(|(batch_size, accumulate)| {
            let options = FitOptions { batch_size, accumulate, ..plain.clone() };
            let task = Task {
                graph: &graph,
                params: &start,
                trains: &|_| true,
                training: &training,
                label_sets: None,
                teacher: None,
                validation: None,
                options: &options,
                backend: &ComputeBackend::Rust,
                checkpoints: None,
                logs: Logs::default(),
            };
            fit(task, &mut Unobserved).unwrap()
        });
        assert_eq!(large.progress.step, 6);
        assert_eq!(small.progress.step, 6);
        for ((_, large), (name, small)) in large.params.iter().zip(small.params.iter()) {
            for (large, small) in large.data().iter().zip(small.data()) {
                // Six steps, each a sum of at most sixteen numbers in another order.
                assert!((large - small).abs() < 1e-6, "{name}: {large} {small}");
            }
        }
    }
}

#[test]
fn balanced_weights_are_those_of_the_training_examples() {
    // 100 examples, 34 of the first class and 33 of the others: n / (classes · n_c).
    let listed = vec![100.0 / (3.0 * 34.0), 100.0 / 99.0, 100.0 / 99.0];
    let listed = LossOptions { class_weights: Some(ClassWeights::Listed(listed)), ..LossOptions::default() };
    let [plain, balanced, listed] = [LossOptions::default(), balanced_loss(), listed].map(|loss| {
        let options = FitOptions { epochs: 1, loss, ..options() };
        run(&options, None, &mut Unobserved).unwrap().params.checksum()
    });
    assert_eq!(balanced, listed);
    assert_ne!(balanced, plain);
}

#[test]
fn classes_are_drawn_in_proportion_to_their_weights() {
    let classes: Vec<usize> = (0..100).map(|at| usize::from(at >= 60)).collect();
    let options = FitOptions { sampling: Sampling::Weighted(vec![1.0, 6.0]), ..FitOptions::default() };
    let drawn = (0..100).flat_map(|epoch| options.order(&classes, epoch));
    let second = drawn.filter(|&at| classes[at] == 1).count();
    // 10,000 draws of 240 / 300: the standard deviation is 40, and four of them are 160.
    assert!(second.abs_diff(8000) <= 160, "{second}");
    assert_eq!(options.order(&classes, 3), options.order(&classes, 3));
}

#[test]
fn options_that_do_not_fit_the_network_are_refused() {
    let listed = |weights: Vec<f32>| LossOptions {
        class_weights: Some(ClassWeights::Listed(weights)),
        ..LossOptions::default()
    };
    let sampled = |weights: Vec<f64>| FitOptions { sampling: Sampling::Weighted(weights), ..options() };
    let table = [
        (FitOptions { loss: listed(vec![1.0, 2.0]), ..options() }, "`class_weights` has 2 number(s), and there are 3"),
        (FitOptions { loss: listed(vec![1.0, 0.0, 1.0]), ..options() }, "a positive number for each class"),
        (sampled(vec![1.0; 4]), "`sampling.weighted` has 4 number(s), and there are 3 classes"),
        (sampled(vec![1.0, f64::NAN, 1.0]), "`sampling.weighted` must be a positive number"),
        (FitOptions { cutmix: Some(0.0), ..options() }, "`cutmix` must be a positive number"),
        (
            FitOptions { loss: LossOptions { label_smoothing: 1.0, class_weights: None }, ..options() },
            "`label_smoothing` must be 0 or more",
        ),
    ];
    for (options, reason) in table {
        let refused = run(&options, None, &mut Unobserved).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    let mut builder = GraphBuilder::new("x", Shape::vector(108));
    let head = builder.push("head", Linear::new(108, CLASSES), &[builder.input()]).unwrap();
    let graph = builder.finish(head);
    let task = Task {
        graph: &graph,
        params: &init::he(&graph, 0),
        trains: &|_| true,
        training: &examples(12, 1),
        label_sets: None,
        teacher: None,
        validation: None,
        options: &FitOptions { cutmix: Some(1.0), ..options() },
        backend: &ComputeBackend::Rust,
        checkpoints: None,
        logs: Logs::default(),
    };
    let refused = fit(task, &mut Unobserved).unwrap_err().to_string();
    assert!(refused.contains("`cutmix` must be left out where a network is trained on features"), "{refused}");
}

#[test]
fn what_is_not_trained_stays() {
    let graph = network();
    let start = init::he(&graph, 0);
    let training = examples(48, 1);
    let task = Task {
        graph: &graph,
        params: &start,
        trains: &|parameter| parameter.name.starts_with("head"),
        training: &training,
        label_sets: None,
        teacher: None,
        validation: None,
        options: &FitOptions { epochs: 1, ..options() },
        backend: &ComputeBackend::Rust,
        checkpoints: None,
        logs: Logs::default(),
    };
    let fitted = fit(task, &mut Unobserved).unwrap();
    for (name, tensor) in params(&fitted).iter() {
        assert_eq!(start.get(name) == Some(tensor), !name.starts_with("head"), "{name}");
    }
}

#[test]
fn a_folder_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let short = FitOptions { epochs: 1, ..options() };
    run(&short, Some(folder.path()), &mut Unobserved).unwrap();
    let other = FitOptions { seed: 1, ..short.clone() };
    let refused = run(&other, Some(folder.path()), &mut Unobserved).unwrap_err().to_string();
    assert!(refused.contains("other options"), "{refused}");
    // More epochs of the same run go on from its end.
    let longer = run(&FitOptions { epochs: 2, ..short }, Some(folder.path()), &mut Unobserved).unwrap();
    assert_eq!(longer.progress.history.len(), 2);
}

#[test]
fn a_checkpoint_of_an_older_version_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    run(&FitOptions { epochs: 1, ..options() }, Some(folder.path()), &mut Unobserved).unwrap();
    let path = folder.path().join("step-000000007-001.safetensors");
    // As graft 0.1 wrote them: without a format. Keys of metadata are JSON of the file's head, of the same length here.
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(16).position(|bytes| bytes == b"graft.checkpoint").unwrap();
    let mut old = bytes;
    old[at..at + 16].copy_from_slice(b"graft.unknownkey");
    std::fs::write(&path, old).unwrap();
    let refused = run(&options(), Some(folder.path()), &mut Unobserved).unwrap_err();
    assert!(
        matches!(&refused, FitError::Checkpoint(CheckpointError::OtherFormat { found, .. }) if found == "1"),
        "{refused}"
    );
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    run(&FitOptions { epochs: 1, ..options() }, Some(folder.path()), &mut Unobserved).unwrap();
    let path = folder.path().join("step-000000007-001.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let refused = run(&options(), Some(folder.path()), &mut Unobserved).unwrap_err().to_string();
    assert!(refused.contains("step-000000007") && refused.contains("remove it"), "{refused}");
}

#[test]
fn the_last_checkpoints_and_the_best_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = FitOptions {
        checkpoints: CheckpointOptions { every_steps: Some(5), keep: 2, ..CheckpointOptions::default() },
        ..options()
    };
    run(&options, Some(folder.path()), &mut Unobserved).unwrap();
    let mut names: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["best.safetensors", "step-000000025-003.safetensors", "step-000000028-004.safetensors"]);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let options = FitOptions { schedule: Schedule::Constant { rate: 1e30 }, ema: None, ..options() };
    let error = run(&options, None, &mut Unobserved).unwrap_err();
    assert!(matches!(error, FitError::Diverged { .. }) && error.to_string().contains("lower learning rate"), "{error}");
}

#[test]
fn early_stopping_ends_the_run() {
    let options = FitOptions {
        epochs: 50,
        schedule: Schedule::Constant { rate: 0.0 },
        ema: None,
        early_stopping: Some(StoppingOptions { better: Better::Higher, patience: 3, min_delta: 0.0 }),
        ..options()
    };
    let fitted = run(&options, None, &mut Unobserved).unwrap();
    assert!(fitted.progress.history.len() < 10, "{:?}", fitted.progress.history);
}
