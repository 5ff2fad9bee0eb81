//! How answers are written.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use models::Labels;
use models::doubt::{Doubt, familiarity};
use models::scores::{ScoreKind, top_k};
use models::spec::ScoreSpec;
use serde_json::{Value, json};
use server::failure::chain;

use crate::cli::model::ModelSource;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON object an image and line; also called `jsonl`.
    #[value(alias = "jsonl")]
    Json,
    /// A table with a row for each image.
    Csv,
}

/// Makes text of what a model says.
pub(super) struct Answers<'a> {
    pub(super) model: &'a ModelSource,
    pub(super) labels: &'a Labels,
    pub(super) format: Format,
    pub(super) top_k: usize,
    /// The threshold that was asked for, for classes that do not exclude each other.
    pub(super) threshold: Option<f32>,
}

impl Answers<'_> {
    /// What stands above all answers.
    pub(super) fn heading(&self) -> Option<String> {
        (self.format == Format::Csv).then(|| {
            let ranks = (1..=self.top_k).flat_map(|rank| [format!("label_{rank}"), format!("score_{rank}")]);
            let ranks: Vec<String> = if self.is_multi_label() {
                ["labels", "scores"].map(str::to_owned).into_iter().chain(ranks).collect()
            } else {
                ranks.collect()
            };
            let columns = ["file", "model", "version"].map(str::to_owned).into_iter().chain(ranks);
            row(columns.chain(["error", "uncertain"].map(str::to_owned)))
        })
    }

    /// What is said to an image, without the end of its last line; `None` where that is an error for people, which goes
    /// elsewhere.
    pub(super) fn answer(&self, path: &Path, logits: &Result<Vec<f32>>) -> Option<String> {
        let scores = logits.as_ref().map(|logits| self.spec().kind.scores(logits));
        let doubt = logits.as_ref().ok().and_then(|logits| self.spec().doubt(logits));
        match (self.format, scores) {
            (Format::Text, Ok(scores)) => Some(self.text(path, &scores, doubt)),
            (Format::Text, Err(_)) => None,
            (Format::Json, Ok(scores)) => {
                let predictions = ("predictions", self.predictions(&scores));
                let measured = logits.as_ref().ok().filter(|_| self.spec().doubt.is_some());
                let familiarity = measured.map(|logits| ("familiarity", json!(familiarity(logits))));
                let doubt = doubt.map(|doubt| ("uncertain", json!(doubt)));
                Some(self.object(path, [predictions].into_iter().chain(familiarity).chain(doubt)))
            }
            (Format::Json, Err(error)) => Some(self.object(path, [("error", json!(chain(error.as_ref())))])),
            (Format::Csv, scores) => Some(self.row(path, scores, doubt)),
        }
    }

    /// The model, as it is written beside each answer.
    pub(super) fn model(&self) -> (String, String) {
        (self.model.name.clone(), self.model.version.map_or(String::new(), |version| version.to_string()))
    }

    fn label(&self, class: usize) -> &str {
        self.labels.get(class).unwrap_or_default()
    }

    fn spec(&self) -> &ScoreSpec {
        &self.model.spec.scores
    }

    /// Whether an image may show several classes.
    fn is_multi_label(&self) -> bool {
        self.spec().kind == ScoreKind::Sigmoid
    }

    fn present(&self, scores: &[f32], class: usize) -> Option<bool> {
        self.spec().threshold(class, self.threshold).map(|threshold| scores[class] >= threshold)
    }

    /// The classes to answer, best first.
    fn answered(&self, scores: &[f32]) -> Vec<usize> {
        self.spec().answered(scores, self.top_k, self.threshold)
    }

    fn text(&self, path: &Path, scores: &[f32], doubt: Option<Doubt>) -> String {
        let doubt = doubt.map_or(String::new(), |doubt| format!("  (uncertain: {doubt})"));
        let mut lines = vec![format!("{}{doubt}", path.display())];
        lines.extend(self.answered(scores).into_iter().map(|class| {
            let absent = if self.present(scores, class) == Some(false) { "  (below the threshold)" } else { "" };
            format!("  {:6.2} %  {}{absent}", 100.0 * scores[class], self.label(class))
        }));
        lines.join("\n")
    }

    fn predictions(&self, scores: &[f32]) -> Value {
        let prediction = |class: usize| {
            let mut prediction = json!({"label": self.label(class), "class": class, "score": scores[class]});
            if let Some(present) = self.present(scores, class) {
                prediction["present"] = json!(present);
                prediction["threshold"] = json!(self.spec().threshold(class, self.threshold));
            }
            prediction
        };
        self.answered(scores).into_iter().map(prediction).collect()
    }

    /// The file, the model, and what came of it.
    fn object<'f>(&self, path: &Path, fields: impl IntoIterator<Item = (&'f str, Value)>) -> String {
        let ModelSource { name, version, .. } = self.model;
        let mut object =
            json!({"file": path.display().to_string(), "model": name, "version": version, "scores": self.spec().kind});
        if let Some(threshold) = self.spec().common_threshold(self.threshold) {
            object["threshold"] = json!(threshold);
        }
        for (key, value) in fields {
            object[key] = value;
        }
        object.to_string()
    }

    /// All classes that an image shows and their scores, each joined; nothing where classes exclude each other.
    fn all_present(&self, scores: &[f32]) -> Vec<String> {
        if !self.is_multi_label() {
            return vec![];
        }
        let present: Vec<usize> =
            self.answered(scores).into_iter().filter(|&class| self.present(scores, class) == Some(true)).collect();
        let labels: Vec<&str> = present.iter().map(|&class| self.label(class)).collect();
        let scores: Vec<String> = present.iter().map(|&class| scores[class].to_string()).collect();
        vec![labels.join("|"), scores.join("|")]
    }

    fn row(&self, path: &Path, scores: Result<Vec<f32>, &anyhow::Error>, doubt: Option<Doubt>) -> String {
        let (model, version) = self.model();
        let (mut cells, error) = match scores {
            Ok(scores) => {
                let best = top_k(&scores, self.top_k).into_iter();
                let cells = best.flat_map(|class| [self.label(class).to_owned(), scores[class].to_string()]);
                (self.all_present(&scores).into_iter().chain(cells).collect::<Vec<_>>(), String::new())
            }
            Err(error) => (vec![], chain(error.as_ref())),
        };
        cells.resize(2 * (self.top_k + usize::from(self.is_multi_label())), String::new());
        let start = [path.display().to_string(), model, version];
        let uncertain = doubt.map_or_else(String::new, |doubt| doubt.name().to_owned());
        row(start.into_iter().chain(cells).chain([error, uncertain]))
    }
}

/// A row of a CSV table, without the end of its line (RFC 4180).
fn row(cells: impl Iterator<Item = String>) -> String {
    let quoted = |cell: String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    cells.map(quoted).collect::<Vec<_>>().join(",")
}
