//! CPU seconds of a training step (forward, backward, SGD with momentum) on one thread, beside PyTorch's.
//!
//! ```sh
//! cargo bench --package trainer --bench step                                   # graft alone
//! BF16=1 PYTORCH=python3 cargo bench --package trainer --bench step -- resnet50       # beside PyTorch, one row, in turns
//! ```
//!
//! `ONEDNN=libdnnl.so.3` adds steps by that library, in `f32` and in `bf16`; `DEVICE=cuda` those on a device, where the bench is built
//! with its feature.
//!
//! Each round does a step of one, then of the other, since these machines are shared; medians are of all rounds. With the name
//! of a row and `ONLY="oneDNN bf16"` (or `f32`, `oneDNN f32`) the peak of the process's memory is that row's and theirs. `PROFILE=1` prints where the time goes.

#![expect(clippy::print_stdout, reason = "a bench reports on the standard output")]
#![expect(
    clippy::disallowed_methods,
    reason = "cargo bench takes the flags for itself; the environment is what is left"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use models::{Graph, init, zoo};
use rustix::time::{ClockId, clock_gettime};
use trainer::backend::{
    ComputeBackend, CpuExecutor, DeviceChoice, Executor, ExecutorSpec, OneDnn, Precision, UpdateRule,
};
use trainer::optim::loss::CrossEntropy;
use trainer::optim::{Groups, OptimizerKind, Step};

/// What is measured.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// Height and width of the images.
    size: usize,
    batch: usize,
}

const ROWS: [Row; 4] = [
    Row { name: "vgg16", size: 224, batch: 8 },
    Row { name: "resnet18", size: 224, batch: 16 },
    Row { name: "resnet50", size: 224, batch: 8 },
    Row { name: "resnet32_cifar", size: 32, batch: 128 },
];

fn main() -> Result<()> {
    let rounds = number("ROUNDS", 5)?;
    rayon::ThreadPoolBuilder::new().num_threads(number("THREADS", 1)?).build_global()?;
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let kernels = kernels()?;
    let precisions: &[&str] = match (std::env::var_os("PYTORCH"), std::env::var_os("BF16")) {
        (None, _) => &[],
        (Some(_), None) => &["f32"],
        (Some(_), Some(_)) => &["f32", "bf16"],
    };
    // A process for each precision, so that each has a peak of its own.
    let python = std::env::var("PYTORCH").unwrap_or_default();
    let pytorch = precisions.iter().map(|precision| Ok((*precision, PyTorch::start(&python)?)));
    let mut pytorch = pytorch.collect::<Result<Vec<_>>>()?;
    for Row { name, size, batch } in ROWS {
        if !names.is_empty() && !names.iter().any(|chosen| chosen == name) {
            continue;
        }
        let batch = number("BATCH", batch)?;
        let make = |(label, kernels): &(&'static str, ComputeBackend)| {
            Ok((*label, Training::new(Row { name, size, batch }, kernels)?))
        };
        let mut trainings = kernels.iter().map(make).collect::<Result<Vec<_>>>()?;
        trainings.iter_mut().try_for_each(|(_, training)| training.step().map(drop))?;
        let mut seconds = vec![vec![]; trainings.len() + pytorch.len()];
        let mut peaks = vec![];
        for _ in 0..rounds {
            peaks.clear();
            for ((_, training), seconds) in trainings.iter_mut().zip(&mut seconds) {
                seconds.push(training.step()?);
            }
            for ((precision, pytorch), seconds) in pytorch.iter_mut().zip(&mut seconds[trainings.len()..]) {
                let [step, peak] = pytorch.step(name, precision, batch)?;
                seconds.push(step);
                peaks.push(peak);
            }
        }
        println!("{name}, batch {batch}, CPU seconds a step");
        let labels = trainings.iter().map(|(label, _)| format!("graft {label}"));
        let labels = labels.chain(pytorch.iter().map(|(precision, _)| format!("PyTorch {precision}")));
        for (label, seconds) in labels.zip(&mut seconds) {
            println!("  {label:20} {:8.3}", median(seconds));
        }
        println!("  peak memory, MiB: graft, all of it, {:.0}; PyTorch {peaks:.0?}", peak_memory()?);
        if std::env::var_os("PROFILE").is_some() {
            // A device has no profile of its own.
            for (label, training) in trainings.iter_mut().filter(|(label, _)| *label != DEVICE) {
                println!("  {label}");
                training.print_profile()?;
            }
        }
    }
    Ok(())
}

/// Those that are measured.
fn kernels() -> Result<Vec<(&'static str, ComputeBackend)>> {
    let mut all = vec![("f32", ComputeBackend::Rust)];
    if let Ok(path) = std::env::var("ONEDNN") {
        let library = OneDnn::load(Path::new(&path))?;
        all.push(("oneDNN f32", ComputeBackend::OneDnn(library.clone(), Precision::F32)));
        all.push(("oneDNN bf16", ComputeBackend::OneDnn(library, Precision::Bf16)));
    }
    if let Ok(device) = std::env::var("DEVICE") {
        let chosen = device.parse::<DeviceChoice>()?.find()?;
        all.push((DEVICE, chosen.backend.context("DEVICE names the processor, which is measured in any case")?));
    }
    if let Ok(only) = std::env::var("ONLY") {
        all.retain(|(label, _)| *label == only);
    }
    Ok(all)
}

/// The row of a device.
const DEVICE: &str = "device";

fn number(variable: &str, default: usize) -> Result<usize> {
    match std::env::var(variable) {
        Ok(value) => value.parse().with_context(|| format!("{variable}={value}")),
        Err(_) => Ok(default),
    }
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The most that the process has held, in MiB.
fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// CPU seconds of the process, all threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

struct Training {
    executor: Box<dyn Executor>,
    graph: Graph,
    backend: ComputeBackend,
    images: Vec<f32>,
    labels: Vec<usize>,
}

impl Training {
    fn new(row: Row, backend: &ComputeBackend) -> Result<Self> {
        let Row { name, size, batch } = row;
        let architecture = zoo::find(name).context("no such network")?;
        let graph: Graph = architecture.graph([size; 2], architecture.classes())?;
        let update = UpdateRule {
            kind: OptimizerKind::Sgd { momentum: 0.9, nesterov: false },
            groups: Groups { weight_decay: 1e-4, ..Groups::default() },
            ema: None,
        };
        let params = init::he(&graph, 0);
        let spec = ExecutorSpec { graph: &graph, params: &params, trains: &|_| true, update: Some(update) };
        let executor = backend.open(&spec)?;
        let images = (0..batch * 3 * size * size).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        let labels = (0..batch).map(|at| at % 10).collect();
        Ok(Self { executor, graph, backend: backend.clone(), images, labels })
    }

    /// CPU seconds of a step.
    fn step(&mut self) -> Result<f64> {
        let start = cpu_seconds();
        let logits = self.executor.forward_train(&self.images, 0)?;
        let loss = CrossEntropy::default().of_classes(&logits, &self.labels, self.executor.outputs())?;
        self.executor.backward(&loss.gradient)?;
        self.executor.apply(Step::at(1e-3))?;
        Ok(cpu_seconds() - start)
    }

    fn print_profile(&mut self) -> Result<()> {
        let mut kinds: Vec<(String, [f64; 2])> = vec![];
        let mut executor = CpuExecutor::with_backend(&self.graph, &init::he(&self.graph, 0), |_| true, &self.backend)?;
        // The first pass plans, the second is as all others are.
        executor.profile(&self.images)?;
        for step in executor.profile(&self.images)? {
            match kinds.iter_mut().find(|(kind, _)| *kind == step.operators) {
                Some((_, sums)) => sums.iter_mut().zip(step.seconds).for_each(|(sum, seconds)| *sum += seconds),
                None => kinds.push((step.operators, step.seconds)),
            }
        }
        kinds.sort_by(|(_, a), (_, b)| (b[0] + b[1]).total_cmp(&(a[0] + a[1])));
        println!("  {:32} {:>9} {:>9}", "milliseconds", "forward", "backward");
        for (kind, [forward, backward]) in kinds {
            println!("  {kind:32} {:9.1} {:9.1}", forward * 1e3, backward * 1e3);
        }
        Ok(())
    }
}

/// A Python that does steps when it is asked to.
struct PyTorch {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl PyTorch {
    fn start(python: &str) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/step_server.py");
        let mut command = Command::new(python);
        let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("PYTORCH")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, answers })
    }

    /// CPU seconds, and the process's peak memory in MiB.
    fn step(&mut self, row: &str, precision: &str, batch: usize) -> Result<[f64; 2]> {
        writeln!(self.child.stdin.as_mut().context("no input")?, "{row} {precision} {batch}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut numbers = answer.split_whitespace().map(str::parse::<f64>);
        Ok([numbers.next().context("no answer")??, numbers.next().context("half an answer")??])
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
