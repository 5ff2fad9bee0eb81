//! Rows of transformed features, and parts of them to fit a head on.

use std::borrow::Cow;
use std::cell::OnceCell;

use models::Tensor;
use models::ops::Shape;

use super::design::{Design, product};
use super::logistic::{Logistic, Search, Solution};
use super::targets::{Losses, Targets};
use super::transform::{FeatureScaling, FeatureTransform};
use crate::backend::cpu::kernels::matmul::Matrix;
use crate::data::LabelSets;
use crate::finetune::head::{LabeledFeatures, LinearHead, Standardization};

/// What a head is searched for.
pub(super) struct SearchTask<'a> {
    /// Features of all views of the training images, one view after another.
    pub(super) training: &'a LabeledFeatures,
    /// The shape of an image's features.
    pub(super) shape: &'a Shape,
    /// How many views there are of each image.
    pub(super) views: usize,
    pub(super) transforms: &'a [FeatureTransform],
    pub(super) classes: usize,
    /// The sets of classes that images show, where classes stand beside each other.
    pub(super) sets: Option<&'a LabelSets>,
    /// What each class counts.
    pub(super) weights: Option<&'a [f32]>,
    pub(super) smoothing: f32,
    pub(super) seed: u64,
}

impl SearchTask<'_> {
    /// How rows of these classes are judged.
    fn losses(&self, numbers: &[usize]) -> Losses {
        let Self { classes, sets, weights, smoothing, .. } = *self;
        Targets { numbers, classes, sets, weights, smoothing }.losses()
    }
}

/// Rows of features as a head takes them.
pub(super) struct TransformedRows {
    /// `[n, width]`, standardized if the transform says so.
    features: Vec<f32>,
    classes: Vec<usize>,
    width: usize,
    scale: Option<Standardization>,
    /// The products of all pairs of rows, `[n, n]`, where there are more features than rows.
    products: Option<Vec<f32>>,
    /// The mean square of a row's length.
    square: f64,
    /// How many images the rows are views of.
    images: usize,
}

impl TransformedRows {
    /// These rows of the plain view of the training images, or all rows of all views.
    pub(super) fn new(task: &SearchTask<'_>, transform: FeatureTransform, rows: Option<&[usize]>) -> Self {
        let table = match rows {
            Some(rows) => Cow::Owned(task.training.rows(rows)),
            None => Cow::Borrowed(task.training),
        };
        let features = transform.apply(task.shape, &table.features);
        let table = LabeledFeatures { features, classes: table.classes.clone() };
        let standardized = transform.scaling == FeatureScaling::Standardized;
        let scale = standardized.then(|| Standardization::of(&table));
        let features = match &scale {
            Some(scale) => scale.apply(&table),
            None => table.features,
        };
        let (n, width) = (table.classes.len(), transform.pooling.width(task.shape));
        let matrix = Matrix::new(&features, n, width);
        let products = (width > n).then(|| product(matrix, matrix.transposed()));
        let square = features.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / n.max(1) as f64;
        let images = rows.map_or(n / task.views, <[usize]>::len);
        Self { features, classes: table.classes, width, scale, products, square, images }
    }

    /// All rows.
    pub(super) fn all(&self, task: &SearchTask<'_>) -> RowSubset<'_> {
        let matrix = Cow::Borrowed(self.products.as_ref().unwrap_or(&self.features).as_slice());
        let (rows, losses) = ((0..self.classes.len()).collect(), task.losses(&self.classes));
        RowSubset { table: self, rows, images: self.images, matrix, losses, scale: OnceCell::new() }
    }

    /// These rows alone.
    pub(super) fn subset(&self, task: &SearchTask<'_>, rows: Vec<usize>) -> RowSubset<'_> {
        let matrix = Cow::Owned(self.matrix(&rows, &rows));
        let (images, losses) = (rows.len(), task.losses(&self.classes_of(&rows)));
        RowSubset { table: self, images, rows, matrix, losses, scale: OnceCell::new() }
    }

    pub(super) fn classes_of(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.classes[row]).collect()
    }

    /// Logits `[n, classes]` of these rows by coefficients that were fitted on others.
    pub(super) fn logits(&self, rows: &[usize], fitted: &RowSubset<'_>, solution: &Solution) -> Vec<f32> {
        let classes = solution.bias.len();
        let matrix = self.matrix(rows, &fitted.rows);
        let coefficients = Matrix::new(&solution.coefficients, fitted.size(), classes);
        let mut logits = product(Matrix::new(&matrix, rows.len(), fitted.size()), coefficients);
        logits.iter_mut().zip(solution.bias.iter().cycle()).for_each(|(logit, bias)| *logit += bias);
        logits
    }

    /// The head that makes the same logits of the features before they are standardized.
    pub(super) fn head(&self, solution: &Solution) -> LinearHead {
        let (n, classes) = (self.classes.len(), solution.bias.len());
        let features = Matrix::new(&self.features, n, self.width);
        let weight = match &self.products {
            Some(_) => product(Matrix::new(&solution.coefficients, n, classes).transposed(), features),
            None => transposed(&solution.coefficients, classes),
        };
        let bias = Tensor::new([classes], solution.bias.clone());
        let head = LinearHead { weight: Tensor::new([classes, self.width], weight), bias };
        match &self.scale {
            Some(scale) => scale.fold(&head),
            None => head,
        }
    }

    /// The features of these rows, or their products with those.
    fn matrix(&self, rows: &[usize], columns: &[usize]) -> Vec<f32> {
        let row = |numbers: &'_ [f32], row: usize, width: usize| numbers[row * width..(row + 1) * width].to_vec();
        match &self.products {
            Some(products) => {
                let n = self.classes.len();
                rows.iter().flat_map(|&row| columns.iter().map(move |&column| products[row * n + column])).collect()
            }
            None => rows.iter().flat_map(|&at| row(&self.features, at, self.width)).collect(),
        }
    }
}

/// Some rows of a table.
pub(super) struct RowSubset<'a> {
    table: &'a TransformedRows,
    rows: Vec<usize>,
    /// How many images they are views of.
    images: usize,
    /// Their features, or their products with each other.
    matrix: Cow<'a, [f32]>,
    losses: Losses,
    scale: OnceCell<f64>,
}

impl RowSubset<'_> {
    /// The best coefficients for a strength.
    pub(super) fn minimize(&self, task: &SearchTask<'_>, strength: f64, search: Search) -> Solution {
        let matrix = Matrix::new(&self.matrix, self.rows.len(), self.size());
        let design = match self.table.products {
            Some(_) => Design::Products(matrix),
            None => Design::Features(matrix),
        };
        let problem = Logistic {
            design: &design,
            losses: &self.losses,
            count: task.classes,
            penalty: self.table.square / (strength * self.images as f64),
            scale: &self.scale,
        };
        problem.minimize(search)
    }

    /// How many coefficients a class has.
    fn size(&self) -> usize {
        if self.table.products.is_some() { self.rows.len() } else { self.table.width }
    }
}

/// `[n, columns]` as `[columns, n]`.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns)).copied().collect()
}
