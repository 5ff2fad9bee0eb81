//! Following a run: a bar on a terminal, plain lines otherwise.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use trainer::estimate::Estimator;
use trainer::events::{Event, Observer, Phase};

use super::images::describe;
use super::interrupt::Interrupt;
use super::output;

/// A run that says nothing for longer seems to hang.
const BETWEEN_LINES: Duration = Duration::from_secs(15);

/// What a run shows.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    phase: Phase,
    /// Tenths of the phase that a plain line has told of.
    told: u64,
    last_line: Instant,
    started: Instant,
    estimator: Estimator,
    /// How many seconds the whole run still takes, once that is known.
    seconds_left: Option<f64>,
    metric: Metric,
    interrupt: Interrupt,
    lines: Lines,
}

/// Where plain lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// To standard output, as part of what the command has to say.
    Output,
    /// To standard error, beside a result that programs may read.
    Error,
}

/// Whether the accuracy of training is shown: tflearn's `show_metric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Shown,
    Hidden,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self::until(Interrupt::default())
    }

    /// Beside a result that is on standard output.
    pub(super) fn on_stderr() -> Self {
        Self { lines: Lines::Error, ..Self::new() }
    }

    /// Of a run that ends when it is interrupted.
    pub(super) fn until(interrupt: Interrupt) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix:10} {wide_bar} {pos}/{len} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            bar,
            phase: Phase::Data,
            told: 0,
            last_line: Instant::now(),
            started: Instant::now(),
            estimator: Estimator::default(),
            seconds_left: None,
            metric: Metric::Shown,
            interrupt,
            lines: Lines::Output,
        }
    }

    pub(super) fn show(&mut self, metric: Metric) {
        self.metric = metric;
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn tell(&mut self, text: &str) {
        self.last_line = Instant::now();
        // The run goes on when nobody reads.
        match (&self.bar, self.lines) {
            (Some(bar), _) => bar.println(text),
            (None, Lines::Output) => drop(output::line(format_args!("{text}"))),
            (None, Lines::Error) => drop(writeln!(std::io::stderr().lock(), "{text}")),
        }
    }

    fn progress(&mut self, done: u64, total: u64, detail: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                let left = self.seconds_left.map(|seconds| format!("{} left", human(seconds)));
                let parts: Vec<&str> =
                    [detail, left.as_deref().unwrap_or_default()].into_iter().filter(|part| !part.is_empty()).collect();
                bar.set_message(parts.join(", "));
            }
            None if done * 10 / total.max(1) > self.told
                || (done == total && self.told < 10)
                || self.last_line.elapsed() >= BETWEEN_LINES =>
            {
                self.told = done * 10 / total.max(1);
                self.tell(format!("{:10} {done}/{total} {detail}", name(self.phase)).trim_end());
            }
            None => {}
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: Event) {
        if let Some(progress) = self.estimator.update(&event, self.started.elapsed()) {
            self.seconds_left = progress.seconds_left;
        }
        match event {
            Event::Phase { phase } => {
                (self.phase, self.told) = (phase, 0);
                if let Some(bar) = &self.bar {
                    bar.set_prefix(name(phase));
                    bar.reset();
                }
            }
            Event::Progress { done, total, .. } => self.progress(done, total, ""),
            Event::Step { epoch, epochs, loss, accuracy, images_per_second, seconds_left, .. } => {
                let left = human(self.seconds_left.unwrap_or(seconds_left));
                let metric = match self.metric {
                    Metric::Shown => format!(", accuracy {:.1} %", 100.0 * accuracy),
                    Metric::Hidden => String::new(),
                };
                let detail = format!("loss {loss:.3}{metric}, {images_per_second:.1} images/s, {left} left");
                match &self.bar {
                    Some(bar) => {
                        bar.set_length(epochs);
                        bar.set_position(epoch - 1);
                        bar.set_message(detail);
                    }
                    None if self.last_line.elapsed() >= BETWEEN_LINES => {
                        self.tell(&format!("{:10} epoch {epoch} of {epochs}, {detail}", name(self.phase)));
                    }
                    None => {}
                }
            }
            Event::Epoch { epoch, epochs, train_loss, validation_loss, validation_top1 } => {
                let mut detail = format!("loss {train_loss:.3}");
                if let (Some(loss), Some(top1)) = (validation_loss, validation_top1) {
                    detail += &format!(", validation {loss:.3}, top-1 {:.1} %", 100.0 * top1);
                }
                self.progress(epoch as u64, epochs as u64, &detail);
            }
            Event::Note { message } => self.tell(&message),
            Event::Warning { message } => self.tell(&format!("warning: {message}")),
            Event::Dataset { summary } => describe(&summary).iter().for_each(|line| self.tell(line)),
            Event::Metrics { .. } | Event::Estimate { .. } => {}
        }
    }

    fn stopped(&self) -> bool {
        self.interrupt.is_wanted()
    }
}

/// Progress and warnings beside a result that says how the data set was understood itself.
pub(super) struct Quiet(Progress);

impl Quiet {
    pub(super) fn new() -> Self {
        Self(Progress::on_stderr())
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish();
    }
}

impl Observer for Quiet {
    fn event(&mut self, event: Event) {
        if !matches!(event, Event::Dataset { .. }) {
            self.0.event(event);
        }
    }

    fn stopped(&self) -> bool {
        self.0.stopped()
    }
}

fn human(seconds: f64) -> HumanDuration {
    HumanDuration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Data => "data",
        Phase::Features => "features",
        Phase::Training => "training",
        Phase::Tuning => "tuning",
        Phase::Export => "export",
        Phase::Parity => "parity",
        Phase::Quantization => "quantization",
        Phase::Evaluation => "evaluation",
    }
}
