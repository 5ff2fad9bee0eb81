//! CPU seconds of a training step (forward, backward, SGD with momentum) on one thread, beside PyTorch's.
//!
//! ```sh
//! cargo bench --package trainer --bench step                                   # graft alone
//! BF16=1 PYTORCH=python3 cargo bench --package trainer --bench step -- resnet50       # beside PyTorch, one row, in turns
//! ```
//!
//! Each round does a step of one, then of the other, since these machines are shared; medians are of all rounds. With the name
//! of a row the peak of the process's memory is that row's. `PROFILE=1` prints where the time goes.

#![expect(clippy::print_stdout, reason = "a bench reports on the standard output")]
#![expect(
    clippy::disallowed_methods,
    reason = "cargo bench takes the flags for itself; the environment is what is left"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use models::{Graph, init, zoo};
use rustix::time::{ClockId, clock_gettime};
use trainer::exec::Executor;
use trainer::loss::CrossEntropy;
use trainer::optim::{Groups, Optimiser, ParamInfo, Rule, Step};

/// Network, image size, batch.
const ROWS: [(&str, usize, usize); 4] =
    [("vgg16", 224, 8), ("resnet18", 224, 16), ("resnet50", 224, 8), ("resnet32_cifar", 32, 128)];

fn main() -> Result<()> {
    let rounds = number("ROUNDS", 5)?;
    rayon::ThreadPoolBuilder::new().num_threads(number("THREADS", 1)?).build_global()?;
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut pytorch = std::env::var("PYTORCH").ok().map(|python| PyTorch::start(&python)).transpose()?;
    println!(
        "{:16} {:>5} {:>8} {:>12} {:>6} {:>13} {:>6}",
        "network", "batch", "graft", "PyTorch f32", "ratio", "PyTorch bf16", "ratio"
    );
    for (name, size, batch) in ROWS {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| chosen == name) {
            continue;
        }
        let batch = number("BATCH", batch)?;
        let mut training = Training::new(name, size, batch)?;
        training.step()?;
        let (mut graft, mut f32s, mut bf16s) = (vec![], vec![], vec![]);
        let mut memory = [0.0; 2];
        for _ in 0..rounds {
            graft.push(training.step()?);
            if let Some(pytorch) = &mut pytorch {
                let [seconds, peak] = pytorch.step(name, "f32", batch)?;
                f32s.push(seconds);
                memory[0] = peak;
            }
        }
        if let (Some(pytorch), true) = (&mut pytorch, std::env::var_os("BF16").is_some()) {
            for _ in 0..rounds {
                let [seconds, peak] = pytorch.step(name, "bf16", batch)?;
                bf16s.push(seconds);
                memory[1] = peak;
            }
        }
        let own = median(&mut graft);
        let column = |seconds: &mut Vec<f64>| match median(seconds) {
            seconds if seconds.is_nan() => "            -      -".to_owned(),
            seconds => format!("{seconds:12.3} {:6.2}", own / seconds),
        };
        println!("{name:16} {batch:5} {own:8.3} {} {}", column(&mut f32s), column(&mut bf16s));
        println!(
            "  peak memory: graft {:.0} MiB, PyTorch f32 {:.0} MiB, then bf16 {:.0} MiB",
            peak_memory()?,
            memory[0],
            memory[1]
        );
        if std::env::var_os("PROFILE").is_some() {
            training.print_profile()?;
        }
    }
    Ok(())
}

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
    executor: Executor,
    optimiser: Optimiser,
    images: Vec<f32>,
    labels: Vec<usize>,
}

impl Training {
    fn new(name: &str, size: usize, batch: usize) -> Result<Self> {
        let architecture = zoo::find(name).context("no such network")?;
        let graph: Graph = architecture.graph([size; 2], architecture.classes())?;
        let executor = Executor::new(&graph, &init::he(&graph, 0))?;
        let groups = Groups { weight_decay: 1e-4, ..Groups::default() };
        let parameters = ParamInfo::of(&graph).iter().map(|info| groups.parameter(info)).collect();
        let optimiser = Optimiser::new(Rule::Sgd { momentum: 0.9, nesterov: false }, parameters)?;
        let images = (0..batch * 3 * size * size).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        Ok(Self { executor, optimiser, images, labels: (0..batch).map(|at| at % 10).collect() })
    }

    /// CPU seconds of a step.
    fn step(&mut self) -> Result<f64> {
        let start = cpu_seconds();
        let pass = self.executor.train(&self.images, 0)?;
        let classes = pass.output().len() / self.labels.len();
        let loss = CrossEntropy::default().of_classes(pass.output(), &self.labels, classes)?;
        let gradients = self.executor.backward(pass, &loss.gradient)?;
        let mut index = 0;
        for (place, weights) in self.executor.weights_mut().numbers_mut().enumerate() {
            let Some(gradient) = gradients.get(place) else { continue };
            self.optimiser.update(index, (weights, gradient), Step::at(1e-3))?;
            index += 1;
        }
        Ok(cpu_seconds() - start)
    }

    fn print_profile(&mut self) -> Result<()> {
        let mut kinds: Vec<(String, [f64; 2])> = vec![];
        for step in self.executor.profile(&self.images)? {
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
