//! Scores that mean what they say: one divisor of all logits, put into the head's weights.

use models::Tensor;

use super::FinetuneError;
use super::calibration::{Calibration, CalibrationImages};
use super::certainty::LabeledAnswers;
use super::extract::FeatureTable;
use super::familiarity::lower_by_distance;
use super::outcome::{Outcome, SubsetResult};
use super::probe::OutOfFold;
use super::tune::Tuned;
use crate::events::{Event, Observer};
use crate::metrics::{Truths, best_thresholds, fit_joint_temperature, fit_temperature};

/// The fewest images whose scores are calibrated: of fewer the divisor would say more about them than about the head.
const FEWEST: usize = 20;

/// Divides the logits of the trained network by its temperature, and measures again; finds out which answers are uncertain, so that
/// this share of the others is right. Nothing changes where there are too few images that were not trained on.
pub(super) fn calibrate(
    Tuned { outcome, inputs }: Tuned,
    table: &FeatureTable<'_>,
    target_precision: f64,
    observer: &mut dyn Observer,
) -> Result<Outcome, FinetuneError> {
    let held_out = HeldOut::of(&outcome, table);
    let enough = Some(&held_out).filter(|held_out| held_out.numbers.len() >= FEWEST);
    let Some((temperature, thresholds)) = enough.and_then(|held_out| held_out.fit(table)) else {
        let message = format!(
            "scores are not calibrated: {} images were neither trained on nor tested, and {FEWEST} are needed",
            held_out.numbers.len()
        );
        observer.event(Event::Note { message });
        return Ok(outcome);
    };
    let (validation, test) = (table.numbers(&table.split.validation), table.numbers(&table.split.test));
    let scaled = outcome.scaled(&Scaling {
        temperature,
        thresholds,
        validation: table.truths(&validation),
        test: table.truths(&test),
    });
    let error = |outcome: &Outcome| outcome.test.evaluation.reliability.as_ref().map(|reliability| reliability.ece);
    let calibration = Calibration {
        temperature,
        fitted_on: held_out.kind,
        images: held_out.numbers.len(),
        ece_before: error(&outcome),
        ece_after: error(&scaled),
    };
    observer.event(Event::Note { message: calibration.to_string() });
    if let Some(thresholds) = &scaled.network.spec.scores.thresholds {
        let [low, high] = [f32::min, f32::max].map(|of| thresholds.iter().copied().reduce(of).unwrap_or_default());
        let message = format!(
            "classes count as present from scores of {low:.2} to {high:.2} on, each where its F1 on those images is best"
        );
        observer.event(Event::Note { message });
    }
    let mut scaled = Outcome { calibration: Some(calibration), ..scaled };
    if table.sets().is_none() {
        scaled = lower_by_distance(scaled, &inputs)?;
        let HeldOut { logits, numbers, .. } = HeldOut::of(&scaled, table);
        let doubt = LabeledAnswers { logits, classes: &numbers }.doubt(target_precision);
        let certainty = LabeledAnswers { logits: &scaled.test.logits, classes: &test }.certainty(&doubt);
        observer.event(Event::Note { message: certainty.to_string() });
        scaled.certainty = Some(certainty);
        scaled.network.spec.scores.doubt = Some(doubt);
    }
    Ok(scaled)
}

/// Logits of images that the network was not trained on, and that do not measure it.
struct HeldOut<'a> {
    kind: CalibrationImages,
    /// `[n, classes]`.
    logits: &'a [f32],
    /// The class of each, or the number of its set.
    numbers: Vec<usize>,
}

impl<'a> HeldOut<'a> {
    fn of(outcome: &'a Outcome, table: &FeatureTable<'_>) -> Self {
        match &outcome.out_of_fold {
            Some(OutOfFold { images, logits }) => Self {
                kind: CalibrationImages::CrossValidation,
                logits,
                numbers: table.numbers(&images.iter().map(|&image| table.split.train[image]).collect::<Vec<_>>()),
            },
            None => Self {
                kind: CalibrationImages::Validation,
                logits: &outcome.validation.logits,
                numbers: table.numbers(&table.split.validation),
            },
        }
    }

    /// The temperature, and where classes stand beside each other the score from which on each counts as present.
    fn fit(&self, table: &FeatureTable<'_>) -> Option<(f64, Option<Vec<f32>>)> {
        let Self { logits, numbers, .. } = self;
        let Some(sets) = table.sets() else {
            return Some((fit_temperature(logits, numbers, logits.len() / numbers.len().max(1))?, None));
        };
        let temperature = fit_joint_temperature(logits, &sets.targets(numbers), sets.classes())?;
        Some((temperature, Some(best_thresholds(&quotient(logits, temperature), numbers, sets))))
    }
}

/// What is done to the scores of a trained network, and what its results are measured by again.
struct Scaling<'a> {
    temperature: f64,
    thresholds: Option<Vec<f32>>,
    validation: Truths<'a>,
    test: Truths<'a>,
}

fn quotient(numbers: &[f32], temperature: f64) -> Vec<f32> {
    numbers.iter().map(|&number| (f64::from(number) / temperature) as f32).collect()
}

impl Outcome {
    /// The same with all logits divided.
    fn scaled(&self, scaling: &Scaling<'_>) -> Self {
        let quotient = |numbers: &[f32]| quotient(numbers, scaling.temperature);
        let mut network = self.network.clone();
        for name in &self.network.graph.node(self.head.node).params {
            if let Some(tensor) = self.network.params.get(name) {
                network.params.insert(name, Tensor::new(tensor.shape(), quotient(tensor.data())));
            }
        }
        let thresholds = scaling.thresholds.as_deref();
        network.spec.scores.thresholds = scaling.thresholds.clone();
        let result =
            |result: &SubsetResult, truths: Truths<'_>| SubsetResult::new(quotient(&result.logits), truths, thresholds);
        let out_of_fold = self.out_of_fold.as_ref();
        let out_of_fold = out_of_fold.map(|OutOfFold { images, logits }| {
            let logits = quotient(logits);
            OutOfFold { images: images.clone(), logits }
        });
        Self {
            network,
            out_of_fold,
            validation: result(&self.validation, scaling.validation),
            test: result(&self.test, scaling.test),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use models::graph::GraphBuilder;
    use models::ops::{Linear, Shape};
    use models::preprocess::Preprocess;
    use models::{ModelSpec, Network, Params};

    use super::*;
    use crate::backend::CpuExecutor;

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
        let network = Network::new(graph.finish(head), &params, spec).unwrap();
        let test = SubsetResult::new(logits, Truths::exclusive(&[0, 1, 1], 2), None);
        Outcome { test, ..Outcome::of_head(network, head) }
    }

    #[test]
    fn a_temperature_is_in_the_weights_and_changes_no_top_class() {
        let scaling = Scaling {
            temperature: 2.5,
            thresholds: None,
            validation: Truths::exclusive(&[], 2),
            test: Truths::exclusive(&[0, 1, 1], 2),
        };
        let (before, after) = (outcome(), outcome().scaled(&scaling));
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
