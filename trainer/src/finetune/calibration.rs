//! Scores that mean what they say: one divisor of all logits, put into the head's weights.

use std::fmt;

use models::Tensor;
use serde::{Deserialize, Serialize};

use super::extract::FeatureTable;
use super::outcome::{Outcome, SubsetResult};
use super::probe::OutOfFold;
use crate::events::{Event, Observer};
use crate::metrics::fit_temperature;

/// The fewest images whose scores are calibrated: of fewer the divisor would say more about them than about the head.
const FEWEST: usize = 20;

/// How the scores of a model were calibrated, and what that did to images that no part of the training has seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Calibration {
    /// The divisor of all logits (temperature scaling, Guo et al. 2017). It is in the weights of the head: scores of the model
    /// are calibrated wherever it runs. Below 1 the head was too cautious, above 1 too sure of itself.
    #[cfg_attr(feature = "openapi", schema(example = 0.61))]
    pub temperature: f64,
    /// What it was fitted on.
    pub fitted_on: CalibrationImages,
    /// How many images that were.
    #[cfg_attr(feature = "openapi", schema(example = 1020))]
    pub images: usize,
    /// The expected calibration error of the test images without it; missing without test images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.112))]
    pub ece_before: Option<f64>,
    /// The same with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 0.018))]
    pub ece_after: Option<f64>,
}

/// The images that a temperature is fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CalibrationImages {
    /// Training images, each by a head that was trained without it.
    CrossValidation,
    /// The validation images, which also chose the epoch.
    Validation,
}

/// Divides the logits of the trained network by its temperature, and measures again. Nothing changes where there are too few
/// images that were not trained on.
pub(super) fn calibrate(outcome: Outcome, table: &FeatureTable<'_>, observer: &mut dyn Observer) -> Outcome {
    let held_out = HeldOut::of(&outcome, table);
    let enough = Some(&held_out).filter(|held_out| held_out.truths.len() >= FEWEST);
    let temperature = enough
        .and_then(|HeldOut { logits, truths, .. }| fit_temperature(logits, truths, logits.len() / truths.len().max(1)));
    let Some(temperature) = temperature else {
        let message = format!(
            "scores are not calibrated: {} images were neither trained on nor tested, and {FEWEST} are needed",
            held_out.truths.len()
        );
        observer.event(Event::Note { message });
        return outcome;
    };
    let truths = |rows: &[usize]| rows.iter().map(|&row| table.samples[row].sample.class).collect::<Vec<usize>>();
    let divided = outcome.divided(temperature, &truths(&table.split.validation), &truths(&table.split.test));
    let error = |outcome: &Outcome| outcome.test.evaluation.reliability.as_ref().map(|reliability| reliability.ece);
    let calibration = Calibration {
        temperature,
        fitted_on: held_out.kind,
        images: held_out.truths.len(),
        ece_before: error(&outcome),
        ece_after: error(&divided),
    };
    observer.event(Event::Note { message: calibration.to_string() });
    Outcome { calibration: Some(calibration), ..divided }
}

/// Logits of images that the network was not trained on, and that do not measure it.
struct HeldOut<'a> {
    kind: CalibrationImages,
    /// `[n, classes]`.
    logits: &'a [f32],
    truths: Vec<usize>,
}

impl<'a> HeldOut<'a> {
    fn of(outcome: &'a Outcome, table: &FeatureTable<'_>) -> Self {
        let class = |row: usize| table.samples[row].sample.class;
        match &outcome.out_of_fold {
            Some(OutOfFold { images, logits }) => Self {
                kind: CalibrationImages::CrossValidation,
                logits,
                truths: images.iter().map(|&image| class(table.split.train[image])).collect(),
            },
            None => Self {
                kind: CalibrationImages::Validation,
                logits: &outcome.validation.logits,
                truths: table.split.validation.iter().map(|&row| class(row)).collect(),
            },
        }
    }
}

impl Outcome {
    /// The same with all logits divided.
    fn divided(&self, temperature: f64, validation: &[usize], test: &[usize]) -> Self {
        let quotient = |numbers: &[f32]| -> Vec<f32> {
            numbers.iter().map(|&number| (f64::from(number) / temperature) as f32).collect()
        };
        let mut network = self.network.clone();
        for name in &self.network.graph.node(self.head.node).params {
            if let Some(tensor) = self.network.params.get(name) {
                network.params.insert(name, Tensor::new(tensor.shape(), quotient(tensor.data())));
            }
        }
        let classes = self.test.evaluation.classes.len();
        let result =
            |result: &SubsetResult, truths: &[usize]| SubsetResult::new(quotient(&result.logits), truths, classes);
        let out_of_fold = self.out_of_fold.as_ref();
        let out_of_fold = out_of_fold.map(|OutOfFold { images, logits }| {
            let logits = quotient(logits);
            OutOfFold { images: images.clone(), logits }
        });
        Self {
            network,
            out_of_fold,
            validation: result(&self.validation, validation),
            test: result(&self.test, test),
            ..self.clone()
        }
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { temperature, fitted_on, images, ece_before, ece_after } = self;
        let images = match fitted_on {
            CalibrationImages::CrossValidation => format!("{images} training images, each left out once"),
            CalibrationImages::Validation => format!("{images} validation images"),
        };
        write!(f, "scores are calibrated on {images}: temperature {temperature:.2}")?;
        match (ece_before, ece_after) {
            (Some(before), Some(after)) => {
                write!(f, ", calibration error on test images {:.1} %, before {:.1} %", 100.0 * after, 100.0 * before)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use models::graph::GraphBuilder;
    use models::ops::{Linear, Shape};
    use models::preprocess::Preprocess;
    use models::{ModelSpec, Network, Params};

    use super::super::outcome::GraftedHead;
    use super::*;
    use crate::backend::CpuExecutor;
    use crate::finetune::FinetuneStrategy;

    /// A head on two features that is right on the first two of three images.
    fn outcome() -> Outcome {
        let mut graph = GraphBuilder::new("features", Shape::vector(2));
        let input = graph.input();
        let head = graph.push("graft.head", Linear::new(2, 2), &[input]).unwrap();
        let mut params = Params::default();
        params.insert("graft.head.weight", Tensor::new([2, 2], vec![1.0, 0.5, -1.0, 2.0]));
        params.insert("graft.head.bias", Tensor::new([2], vec![0.25, -0.25]));
        let spec = ModelSpec::new("head", None, Preprocess::torchvision(8, 8));
        let logits = vec![1.25, -1.25, 0.75, 1.75, 3.0, 1.0];
        Outcome {
            network: Network::new(graph.finish(head), &params, spec).unwrap(),
            strategy: FinetuneStrategy::Head,
            head: GraftedHead { node: head, choice: None, largest_input: 1.0 },
            best_epoch: None,
            history: vec![],
            validation: SubsetResult::new(vec![], &[], 2),
            test: SubsetResult::new(logits, &[0, 1, 1], 2),
            out_of_fold: None,
            calibration: None,
            checkpoints: None,
        }
    }

    #[test]
    fn a_temperature_is_in_the_weights_and_changes_no_top_class() {
        let (before, after) = (outcome(), outcome().divided(2.5, &[], &[0, 1, 1]));
        let logits = |outcome: &Outcome| {
            let executor = CpuExecutor::new(&outcome.network.graph, &outcome.network.params).unwrap();
            executor.infer_nhwc(&[1.0, 0.0, 0.0, 1.0]).unwrap()
        };
        // Rows of the weights by hand: (1, -1) and (0.5, 2), the biases added.
        assert_eq!(logits(&before), [1.25, -1.25, 0.75, 1.75]);
        for (divided, plain) in logits(&after).iter().zip(logits(&before)) {
            assert!((divided - plain / 2.5).abs() < 1e-6, "{divided} {plain}");
        }
        assert_eq!(after.test.evaluation.confusion, before.test.evaluation.confusion);
        assert_eq!(after.test.evaluation.top1, before.test.evaluation.top1);
        assert!(after.test.evaluation.reliability != before.test.evaluation.reliability);
        assert!((after.noise() - before.noise() / 2.5).abs() < 1e-9, "{} {}", after.noise(), before.noise());
    }
}
