//! What was found in a file, for people and for programs.

use std::io;

use onnx::EngineKind;
use onnx::parity::TOLERANCE;
use serde::Serialize;

use super::engines::EngineReport;
use crate::cli::output;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contents {
    /// Nothing that is read.
    #[default]
    Unknown,
    /// A network.
    Onnx,
    /// Weights without one.
    Weights,
}

/// One file.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct FileReport {
    pub(super) file: String,
    /// Whether it can be read, the serving engine runs it, and no engine differs.
    pub(super) ok: bool,
    pub(super) contents: Contents,
    pub(super) producer: String,
    pub(super) megabytes: f64,
    pub(super) opset: Option<i64>,
    pub(super) ir_version: Option<i64>,
    /// The network of the tables that this is.
    pub(super) architecture: Option<String>,
    pub(super) network: Option<String>,
    #[serde(skip)]
    pub(super) headless: bool,
    #[serde(skip)]
    pub(super) quantized: bool,
    pub(super) operators: Option<String>,
    /// A line for the input and for each output: what it is, and what says so.
    pub(super) signature: Vec<String>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) preprocess: Option<String>,
    pub(super) fixed_batch: Option<i64>,
    pub(super) engines: Vec<EngineReport>,
    /// What is wrong or missing, each with what to do about it.
    pub(super) problems: Vec<String>,
}

/// The newest operator set that the engines are known to run.
const NEWEST_OPSET: i64 = 22;

impl FileReport {
    /// What to do about what was found.
    pub(super) fn advise(&mut self) {
        if let Some(opset) = self.opset.filter(|&opset| opset > NEWEST_OPSET) {
            self.problems
                .push(format!("operator set {opset} is newer than engines commonly run; export with 17 to 20"));
        }
        if let Some(batch) = self.fixed_batch {
            self.problems
                .push(format!("it is made for {batch} image(s) at a time; `graft import` makes it take any number"));
        }
        if self.preprocess.is_none() {
            let advice =
                "it does not say how its images are prepared; give --preprocess, or --verify with labelled images";
            self.problems.push(advice.to_owned());
        }
        if self.labels.is_none() && !self.headless {
            self.problems.push("it has no class names; give --labels when you import it".to_owned());
        }
        for engine in &self.engines {
            match (engine.runs, engine.difference, engine.engine) {
                (false, _, EngineKind::Tract) if self.quantized => self.problems.push(
                    "tract does not run quantised networks; serve it with --engine ort, or import the network as it was \
                     before it was quantised"
                        .to_owned(),
                ),
                (false, _, EngineKind::Tract) => {
                    self.problems.push("tract does not run it; serve it with --engine ort".to_owned());
                }
                (false, _, EngineKind::Ort) => {
                    self.problems.push("ONNX Runtime does not run it; export it with operator set 17".to_owned());
                }
                // In half precision it may overflow where another engine computes in more.
                (true, Some(_), kind) if !engine.agrees() && engine.tolerance > TOLERANCE => self.problems.push(format!(
                    "{kind} answers differently in half precision; do not serve it there, or export it in single precision"
                )),
                (true, Some(_), kind) if !engine.agrees() => {
                    self.problems.push(format!("{kind} answers differently; do not serve it there, and report the file"));
                }
                _ => {}
            }
        }
    }

    /// For people.
    pub(super) fn print(&self) -> io::Result<()> {
        output::line(format_args!("{}", self.file))?;
        let versions = self.opset.map(|opset| format!(", opset {opset}, IR {}", self.ir_version.unwrap_or_default()));
        let producer = if self.producer.is_empty() { "an unknown program" } else { &self.producer };
        match self.contents {
            Contents::Unknown => {}
            Contents::Onnx => {
                line("written by", &format!("{producer}, {:.1} MB{}", self.megabytes, versions.unwrap_or_default()))?
            }
            Contents::Weights => line("format", &format!("{producer}, {:.1} MB", self.megabytes))?,
        }
        if let Some(network) = &self.network {
            let known = self.architecture.as_ref().map_or(String::new(), |name| format!("{name}: "));
            line("network", &format!("{known}{network}"))?;
        }
        if let Some(operators) = &self.operators {
            line("operators", operators)?;
        }
        for line_of in &self.signature {
            line("", line_of)?;
        }
        if let Some(labels) = &self.labels {
            let first = labels.first().map_or("", String::as_str);
            line("labels", &format!("{}: {first}, …", labels.len()))?;
        }
        if let Some(preprocess) = &self.preprocess {
            line("images", &format!("prepared {preprocess}"))?;
        }
        for engine in &self.engines {
            line(&engine.engine.to_string(), &said(engine))?;
        }
        for problem in &self.problems {
            line(if self.ok { "note" } else { "PROBLEM" }, problem)?;
        }
        if !self.ok { line("FAILED", "see above") } else { Ok(()) }
    }
}

fn line(heading: &str, text: &str) -> io::Result<()> {
    output::line(format_args!("  {heading:10}  {text}"))
}

fn said(engine: &EngineReport) -> String {
    match (engine.runs, engine.difference, &engine.compared_with) {
        (true, Some(difference), Some(other)) if engine.agrees() => {
            format!("ok, within {difference:.1e} of {other} (relative to the largest logit)")
        }
        (true, Some(difference), Some(other)) if difference.is_infinite() => {
            format!("answers numbers that are not finite, or not as many as {other}")
        }
        (true, Some(difference), Some(other)) => {
            let tolerance = engine.tolerance;
            format!("differs from {other} by {difference:.1e} of the largest logit, more than {tolerance:.0e}")
        }
        (true, ..) => "ok".to_owned(),
        (false, ..) => format!("does not run it: {}", engine.reason.as_deref().unwrap_or("unknown")),
    }
}
