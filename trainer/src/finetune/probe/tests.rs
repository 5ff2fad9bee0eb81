//! The solver against other solvers, and the choice against arithmetic.

use std::cell::OnceCell;

use models::ops::Shape;
use serde::Deserialize;

use super::design::{Design, product};
use super::logistic::{Logistic, Search, Stopping};
use super::targets::Targets;
use super::{FeaturePooling, FeaturePower, FeatureScaling, FeatureTransform, LinearProbe, ProbeTask, probe};
use crate::backend::cpu::kernels::matmul::Matrix;
use crate::data::LabelSets;
use crate::events::Unobserved;
use crate::finetune::FinetuneOptions;
use crate::finetune::head::LabeledFeatures;

/// Sums in f32. From products, and with the weakest penalty, rounding leaves a thousandth.
const TOLERANCE: f64 = 2e-3;

/// Written by trainer/reference/logistic.py.
#[derive(Deserialize)]
struct Case {
    rows: usize,
    width: usize,
    classes: usize,
    c: f64,
    #[serde(default)]
    smoothing: f32,
    #[serde(default)]
    weights: Option<Vec<f32>>,
    logits: Vec<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/data/logistic.json")).unwrap()
}

/// Written by `trainer/reference/multi_label.py`.
fn multi_label_cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/data/multi_label_heads.json")).unwrap()
}

impl Case {
    fn features(&self) -> Vec<f32> {
        let number = |i: usize, j: usize| (((i * 37 + j * 101 + i * j * 13) * 7919 % 257) as f32 - 128.0) / 64.0;
        (0..self.rows).flat_map(|i| (0..self.width).map(move |j| number(i, j))).collect()
    }

    /// The logits of the solver, from features and from products.
    fn solved(&self, sets: Option<&LabelSets>, numbers: &[usize]) -> [Vec<f32>; 2] {
        let features = self.features();
        let matrix = Matrix::new(&features, self.rows, self.width);
        let products = product(matrix, matrix.transposed());
        let weights = self.weights.as_deref();
        let targets = Targets { numbers, classes: self.classes, sets, weights, smoothing: self.smoothing };
        let losses = targets.losses();
        [Design::Features(matrix), Design::Products(Matrix::new(&products, self.rows, self.rows))].map(|design| {
            let problem = Logistic {
                design: &design,
                losses: &losses,
                count: self.classes,
                penalty: 1.0 / (self.c * self.rows as f64),
                preconditioner: &OnceCell::new(),
            };
            let solution = problem.minimize(Search { start: None, stopping: Stopping { fall: 1e-11, steps: 2000 } });
            let mut logits = design.product(&solution.coefficients, self.classes);
            logits.iter_mut().zip(solution.bias.iter().cycle()).for_each(|(logit, bias)| *logit += bias);
            logits
        })
    }

    /// The largest difference from the reference, relative to its largest logit.
    fn plain_difference(&self, logits: &[f32]) -> f64 {
        let expected: Vec<f64> = self.logits.iter().flatten().copied().collect();
        let largest = expected.iter().fold(0.0_f64, |largest, logit| largest.max(logit.abs()));
        let differences = logits.iter().zip(&expected).map(|(&logit, expected)| (f64::from(logit) - expected).abs());
        differences.fold(0.0, f64::max) / largest
    }

    /// The same where all logits of a row can be shifted together: each row's mean is taken off.
    fn difference(&self, logits: &[f32]) -> f64 {
        let largest = self.logits.iter().flatten().fold(0.0_f64, |largest, logit| largest.max(logit.abs()));
        let rows = logits.chunks(self.classes).zip(&self.logits);
        let differences = rows.flat_map(|(row, expected)| {
            let mean = row.iter().map(|&logit| f64::from(logit)).sum::<f64>() / row.len() as f64;
            row.iter().zip(expected).map(move |(&logit, expected)| (f64::from(logit) - mean - expected).abs())
        });
        differences.fold(0.0, f64::max) / largest
    }
}

#[test]
fn the_solver_finds_what_scikit_learn_and_scipy_find_from_features_and_from_products() {
    for case in cases() {
        let classes: Vec<usize> = (0..case.rows).map(|i| (i * i * 3 + i * 7) / 2 % case.classes).collect();
        for logits in case.solved(None, &classes) {
            let difference = case.difference(&logits);
            let Case { rows, width, classes, c, .. } = case;
            assert!(difference < TOLERANCE, "{rows}x{width}, {classes} classes, C = {c}: {difference:.1e}");
        }
    }
}

#[test]
fn of_classes_beside_each_other_the_solver_finds_what_scikit_learn_finds_for_each() {
    for case in multi_label_cases() {
        let has = |i: usize, k: usize| ((i * 31 + k * 17 + i * k * 7) % 101).is_multiple_of(k + 2);
        let classes = |i: usize| (0..case.classes).filter(|&k| has(i, k)).collect();
        let (sets, numbers) = LabelSets::number(case.classes, (0..case.rows).map(classes));
        for logits in case.solved(Some(&sets), &numbers) {
            let difference = case.plain_difference(&logits);
            let Case { rows, width, classes, c, ref weights, .. } = case;
            assert!(
                difference < TOLERANCE,
                "{rows}x{width}, {classes} classes, C = {c}, {weights:?}: {difference:.1e}"
            );
        }
    }
}

/// Two channels of three by three pixels.
const MAP: [f32; 18] = [1., 2., 3., 4., 5., 6., 7., 8., 9., 0., 0., 0., 0., 4., 0., 0., 0., 0.];

#[test]
fn transforms_are_what_they_are_called() {
    let shape = Shape::image(2, 3, 3);
    let transform = |pooling, power, scaling| FeatureTransform { pooling, power, scaling }.apply(&shape, &MAP);
    let average = transform(FeaturePooling::Average, FeaturePower::Plain, FeatureScaling::Standardized);
    assert_eq!(average, [5.0, 4.0 / 9.0]);
    // Two parts of three pixels overlap in the middle one, as PyTorch's `AdaptiveAvgPool2d` divides them.
    let quarters = transform(FeaturePooling::Quarters, FeaturePower::Plain, FeatureScaling::Standardized);
    assert_eq!(quarters, [3.0, 4.0, 6.0, 7.0, 1.0, 1.0, 1.0, 1.0]);
    let all = transform(FeaturePooling::All, FeaturePower::SignedSqrt, FeatureScaling::Standardized);
    assert_eq!((all[3], all[8], all[13]), (2.0, 3.0, 2.0));
    let unit = transform(FeaturePooling::All, FeaturePower::Plain, FeatureScaling::UnitLength);
    // 1 + 4 + … + 81 + 16 = 301.
    assert!((unit[8] - 9.0 / 301.0_f32.sqrt()).abs() < 1e-6);
}

#[test]
fn a_vector_has_four_transforms_and_a_feature_map_one_for_each_pooling_more() {
    let counts = [Shape::vector(8), Shape::image(8, 1, 1), Shape::image(8, 2, 2), Shape::image(8, 7, 7)]
        .map(|shape| FeatureTransform::all(&shape).len());
    assert_eq!(counts, [4, 4, 8, 12]);
}

/// Three classes. Of each image one channel of its own is on, by numbers between a hundredth and a hundred.
fn sparse(images: usize) -> LabeledFeatures {
    let classes: Vec<usize> = (0..images).map(|image| image % 3).collect();
    let features = classes.iter().enumerate().flat_map(|(image, &class)| {
        let size = 10.0_f32.powf((image * 7919 % 401) as f32 / 100.0 - 2.0);
        (0..9).map(move |feature| if feature / 3 == class && (image / 3 + feature) % 2 == 0 { size } else { 0.0 })
    });
    LabeledFeatures { features: features.collect(), classes: classes.clone() }
}

fn trained(training: &LabeledFeatures) -> LinearProbe {
    let shape = Shape::vector(training.width());
    let task = ProbeTask {
        training,
        validation: &LabeledFeatures::default(),
        shape: &shape,
        views: 1,
        classes: 3,
        sets: None,
        weights: None,
        transforms: &FeatureTransform::all(&shape),
        options: FinetuneOptions::default().head(),
    };
    probe(&task, &mut Unobserved).unwrap()
}

#[test]
fn the_transform_that_suits_the_features_is_chosen_and_said() {
    let training = sparse(120);
    let trained = trained(&training);
    // Only the length of a vector hides how large its numbers are.
    assert_eq!(trained.transform.scaling, FeatureScaling::UnitLength);
    let choice = trained.choice.unwrap();
    assert_eq!((choice.images, choice.candidates.len()), (120, 4));
    assert_eq!(choice.candidates[0].transform, trained.transform);
    assert!(choice.candidates.windows(2).all(|pair| pair[0].top1 >= pair[1].top1));
    assert!(choice.to_string().ends_with("on 120 training images, the best of 4 kinds"), "{choice}");
}

#[test]
fn equal_features_give_equal_heads() {
    let training = sparse(60);
    let [one, other] = [0, 1].map(|_| trained(&training).head);
    assert_eq!((one.weight.data(), one.bias.data()), (other.weight.data(), other.bias.data()));
}

#[test]
fn too_few_images_choose_nothing_and_still_give_a_head() {
    let training = sparse(6);
    let trained = trained(&training);
    assert!(trained.choice.is_none() && trained.head.is_finite());
    let logits = trained.logits(&Shape::vector(9), &training.features);
    let best = |row: &[f32]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    assert!(logits.chunks(3).zip(&training.classes).all(|(row, &class)| best(row) == class));
}
