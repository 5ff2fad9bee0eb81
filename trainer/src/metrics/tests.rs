//! The measures against scikit-learn, `SciPy` and arithmetic.

use models::Labels;
use serde::Deserialize;

use super::{
    CellAnswers, ConfidenceInterval, ConfusedPair, Evaluation, NotableAnswers, RankedAnswers, Truths, best_thresholds,
    confused_pairs, fit_joint_temperature, fit_temperature,
};
use crate::data::LabelSets;

/// Scores are f32: seven digits, and sums of up to 200 of them.
const TOLERANCE: f64 = 1e-6;

/// Written by trainer/reference/metrics.py.
#[derive(Deserialize)]
struct Case {
    images: usize,
    classes: usize,
    helped: usize,
    top1: f64,
    top1_interval: [f64; 2],
    top5: f64,
    macro_f1: f64,
    loss: f64,
    ece: f64,
    temperature: f64,
    precision: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
    recall_interval: Vec<Option<[f64; 2]>>,
    f1: Vec<Option<f64>>,
    confusion: Vec<Vec<usize>>,
}

impl Case {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../tests/data/metrics.json")).unwrap()
    }

    fn truths(&self) -> Vec<usize> {
        let present = if self.classes == 9 { 8 } else { self.classes };
        (0..self.images).map(|i| (i * i * 3 + i * 7) / 2 % present).collect()
    }

    fn logits(&self) -> Vec<f32> {
        let number = |i: usize, j: usize| (((i * 37 + j * 101 + i * j * 13) * 7919 % 257) as f32 - 128.0) / 64.0;
        let help = |i: usize, truth: usize, j: usize| if j == truth && i % 10 < self.helped { 4.0 } else { 0.0 };
        let rows = self.truths().into_iter().enumerate();
        rows.flat_map(|(i, truth)| (0..self.classes).map(move |j| number(i, j) + help(i, truth, j))).collect()
    }

    fn evaluation(&self) -> Evaluation {
        Evaluation::new(&self.logits(), &self.truths(), self.classes)
    }
}

fn close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < TOLERANCE,
        (found, expected) => found == expected,
    }
}

fn is(found: Option<ConfidenceInterval>, expected: Option<[f64; 2]>) -> bool {
    let [low, high] = [0, 1].map(|end| expected.map(|ends| ends[end]));
    close(found.map(|ends| ends.low), low) && close(found.map(|ends| ends.high), high)
}

#[test]
fn shares_of_all_images_are_those_of_scikit_learn() {
    for case in Case::all() {
        let result = case.evaluation();
        assert!(close(Some(result.top1), Some(case.top1)), "{} {}", result.top1, case.top1);
        assert!(close(Some(result.top5), Some(case.top5)), "{} {}", result.top5, case.top5);
        assert!(close(result.macro_f1, Some(case.macro_f1)), "{:?} {}", result.macro_f1, case.macro_f1);
        assert!(close(Some(result.loss), Some(case.loss)), "{} {}", result.loss, case.loss);
        assert!(is(result.top1_interval, Some(case.top1_interval)), "{:?}", result.top1_interval);
        assert_eq!(result.confusion, case.confusion);
    }
}

#[test]
fn shares_of_each_class_are_those_of_scikit_learn() {
    for case in Case::all() {
        for (class, result) in case.evaluation().classes.into_iter().enumerate() {
            assert!(close(result.precision, case.precision[class]), "{class}: {result:?}");
            assert!(close(result.recall, case.recall[class]), "{class}: {result:?}");
            assert!(is(result.recall_interval, case.recall_interval[class]), "{class}: {result:?}");
            assert!(close(result.f1, case.f1[class]), "{class}: {result:?}");
            assert_eq!(result.support, case.confusion[class].iter().sum::<usize>());
        }
    }
}

#[test]
fn the_calibration_error_is_that_of_its_definition() {
    for case in Case::all() {
        let reliability = case.evaluation().reliability.unwrap();
        assert!(close(Some(reliability.ece), Some(case.ece)), "{} {}", reliability.ece, case.ece);
        assert_eq!(reliability.bins.iter().map(|bin| bin.images).sum::<usize>(), case.images);
    }
}

#[test]
fn the_temperature_is_that_of_the_least_cross_entropy() {
    for case in Case::all() {
        let found = fit_temperature(&case.logits(), &case.truths(), case.classes).unwrap();
        // Both searches end within a millionth.
        let difference = (found / case.temperature - 1.0).abs();
        assert!(difference < 1e-5, "{found} {}", case.temperature);
    }
}

#[test]
fn logits_over_the_temperature_have_a_temperature_of_one() {
    for case in Case::all() {
        let (mut logits, truths) = (case.logits(), case.truths());
        let temperature = fit_temperature(&logits, &truths, case.classes).unwrap();
        logits.iter_mut().for_each(|logit| *logit /= temperature as f32);
        let again = fit_temperature(&logits, &truths, case.classes).unwrap();
        assert!((again - 1.0).abs() < 1e-5, "{again}");
    }
}

#[test]
fn classes_that_are_always_right_have_scores_of_n_plus_one_in_n_plus_two() {
    // Two classes, ten images, all right by the same margin: the target, 11 / 12, is the score itself.
    let logits: Vec<f32> = [[3.0, 0.0], [0.0, 3.0]].into_iter().cycle().take(10).flatten().collect();
    let truths: Vec<usize> = (0..10).map(|image| image % 2).collect();
    let temperature = fit_temperature(&logits, &truths, 2).unwrap();
    let score = 1.0 / (1.0 + (-3.0 / temperature).exp());
    assert!((score - 11.0 / 12.0).abs() < 1e-6, "{score}");
}

#[test]
fn logits_that_tell_nothing_have_no_temperature() {
    assert_eq!(fit_temperature(&[], &[], 3), None);
    assert_eq!(fit_temperature(&[2.0; 6], &[0, 1], 3), None);
    assert_eq!(fit_temperature(&[1.0, f32::NAN], &[0], 2), None);
    // Far apart, and wrong: no step of Newton's method is a number here.
    let worst = fit_temperature(&[0.0, 1e6], &[0], 2).unwrap();
    assert!(worst.is_finite() && worst > 9.9e3, "{worst}");
}

#[test]
fn bins_are_fifteenths_and_a_score_of_one_is_in_the_last() {
    // Equal logits of three classes: a third, which is 5 of 15 bins, and as f32 a little above it.
    let result = Evaluation::new(&[0.0; 6], &[0, 1], 3);
    let reliability = result.reliability.unwrap();
    let filled: Vec<usize> = (0..15).filter(|&bin| reliability.bins[bin].images > 0).collect();
    assert_eq!(filled, [5]);
    // Scores of 1 are in the last bin: half of these are wrong.
    let sure = Evaluation::new(&[1e3, 0.0, 1e3, 0.0], &[0, 1], 2).reliability.unwrap();
    assert_eq!((sure.bins[14].images, sure.ece), (2, 0.5));
}

#[test]
fn scores_that_are_no_numbers_have_no_calibration_error() {
    assert_eq!(Evaluation::new(&[f32::NAN, 0.0], &[0], 2).reliability, None);
    assert_eq!(Evaluation::new(&[], &[], 2).reliability, None);
}

#[test]
fn intervals_hold_where_every_image_is_right_or_wrong_or_there_is_none() {
    assert_eq!(ConfidenceInterval::wilson(0, 0), None);
    // 10 / (10 + 1.96²): Wilson's interval of ten in ten begins there.
    let all = ConfidenceInterval::wilson(10, 10).unwrap();
    assert!((all.low - 10.0 / (10.0 + 1.959_964_f64.powi(2))).abs() < 1e-6 && all.high == 1.0, "{all:?}");
    let none = ConfidenceInterval::wilson(0, 10).unwrap();
    assert!(none.low == 0.0 && (none.high - (1.0 - all.low)).abs() < 1e-12, "{none:?}");
}

#[test]
fn pairs_are_confused_in_the_order_of_their_images() {
    let pairs = confused_pairs(&[vec![5, 1, 0], vec![3, 9, 0], vec![0, 1, 7]]);
    let expected = [(1, 0, 3), (0, 1, 1), (2, 1, 1)];
    assert_eq!(pairs, expected.map(|(truth, predicted, images)| ConfusedPair { truth, predicted, images }));
}

/// Written by `trainer/reference/multi_label.py`.
#[derive(Deserialize)]
struct MultiLabelCase {
    images: usize,
    classes: usize,
    helped: usize,
    thresholds: Vec<f32>,
    average_precision: Vec<Option<f64>>,
    mean_average_precision: f64,
    precision: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
    f1: Vec<Option<f64>>,
    micro_f1: f64,
    macro_f1: f64,
    exact: f64,
    top1: f64,
    loss: f64,
    temperature: f64,
    best_f1: Vec<Option<f64>>,
}

impl MultiLabelCase {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../tests/data/multi_label_metrics.json")).unwrap()
    }

    fn has(&self, i: usize, k: usize) -> bool {
        ((i * 31 + k * 17 + i * k * 7) % 101).is_multiple_of(k + 2) && !(self.classes == 9 && k == 8)
    }

    fn truths(&self) -> (LabelSets, Vec<usize>) {
        let classes = |i: usize| (0..self.classes).filter(|&k| self.has(i, k)).collect();
        LabelSets::number(self.classes, (0..self.images).map(classes))
    }

    fn logits(&self) -> Vec<f32> {
        let number = |i: usize, j: usize| (((i * 37 + j * 101 + i * j * 13) * 7919 % 257) as f32 - 128.0) / 64.0;
        let help = |i: usize, k: usize| if self.has(i, k) && i % 10 < self.helped { 3.0 } else { 0.0 };
        (0..self.images).flat_map(|i| (0..self.classes).map(move |k| number(i, k) + help(i, k))).collect()
    }

    fn evaluation(&self, thresholds: &[f32]) -> Evaluation {
        let (sets, numbers) = self.truths();
        let truths = Truths { numbers: &numbers, classes: self.classes, sets: Some(&sets) };
        Evaluation::of(&self.logits(), truths, Some(thresholds))
    }
}

#[test]
fn measures_of_classes_beside_each_other_are_those_of_scikit_learn() {
    for case in MultiLabelCase::all() {
        let result = case.evaluation(&case.thresholds);
        let found = [result.mean_average_precision, result.micro_f1, result.macro_f1, result.exact, Some(result.top1)];
        let expected = [case.mean_average_precision, case.micro_f1, case.macro_f1, case.exact, case.top1];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(close(found, Some(expected)), "{found:?} {expected}");
        }
        assert!((result.loss - case.loss).abs() < TOLERANCE * case.loss, "{} {}", result.loss, case.loss);
        for (class, result) in result.classes.iter().enumerate() {
            assert!(close(result.average_precision, case.average_precision[class]), "{class}: {result:?}");
            assert!(close(result.precision, case.precision[class]), "{class}: {result:?}");
            assert!(close(result.recall, case.recall[class]), "{class}: {result:?}");
            assert!(close(result.f1, case.f1[class]), "{class}: {result:?}");
        }
    }
}

#[test]
fn the_best_thresholds_reach_the_best_f1_of_scikit_learns_curve() {
    for case in MultiLabelCase::all() {
        let (sets, numbers) = case.truths();
        let thresholds = best_thresholds(&case.logits(), &numbers, &sets);
        for (class, result) in case.evaluation(&thresholds).classes.iter().enumerate() {
            match case.best_f1[class] {
                Some(best) => assert!(close(result.f1, Some(best)), "{class}: {result:?} {best}"),
                None => assert_eq!(thresholds[class], 0.5),
            }
        }
    }
}

#[test]
fn the_joint_temperature_is_that_of_the_least_cross_entropy() {
    for case in MultiLabelCase::all() {
        let (sets, numbers) = case.truths();
        let found = fit_joint_temperature(&case.logits(), &sets.targets(&numbers), case.classes).unwrap();
        assert!((found / case.temperature - 1.0).abs() < 1e-5, "{found} {}", case.temperature);
    }
    assert_eq!(fit_joint_temperature(&[0.0; 4], &[1.0, 0.0, 0.0, 1.0], 2), None);
    assert_eq!(fit_joint_temperature(&[f32::NAN], &[1.0], 1), None);
}

#[test]
fn random_scores_of_several_classes_are_called_so() {
    let (sets, numbers) = LabelSets::number(2, [vec![0], vec![1], vec![0, 1], vec![]]);
    let truths = Truths { numbers: &numbers, classes: 2, sets: Some(&sets) };
    let poverty = Evaluation::of(&[0.0; 8], truths, None).poverty().unwrap();
    assert!(poverty.starts_with("the mean average precision is 50.0 %"), "{poverty}");
    let right = [1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0];
    assert_eq!(Evaluation::of(&right, truths, None).poverty(), None);
}

#[test]
fn the_images_behind_a_cell_are_those_with_the_highest_scores_and_wrong_cells_come_first() {
    let labels = Labels::new(vec!["a".to_owned(), "b".to_owned()]);
    // Of class a: one is right, and 14 are taken for b, the later the surer. Of class b: one is right.
    let surer = |row: usize| [0.0, 1.0 + row as f32];
    let logits: Vec<f32> =
        std::iter::once([3.0, 0.0]).chain((0..14).map(surer)).chain([[0.0, 3.0]]).flatten().collect();
    let numbers: Vec<usize> = std::iter::repeat_n(0, 15).chain([1]).collect();
    let ranked =
        RankedAnswers { logits: &logits, truths: Truths::exclusive(&numbers, 2), labels: &labels, thresholds: None };
    let cells = NotableAnswers::new(&ranked, |row| format!("{row}.jpg")).cells;
    let cell = |cell: &CellAnswers| (cell.truth, cell.predicted, cell.images.len());
    assert_eq!(cells.iter().map(cell).collect::<Vec<_>>(), [(0, 1, 12), (0, 0, 1), (1, 1, 1)]);
    let names: Vec<&str> = cells[0].images.iter().map(|answer| answer.image.as_str()).collect();
    assert_eq!(names[..2], ["14.jpg", "13.jpg"]);
    assert_eq!(cells[0].images[0].predicted, "b");
}
