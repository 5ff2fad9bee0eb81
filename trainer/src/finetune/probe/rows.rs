//! Rows of transformed features, and parts of them to fit a head on.

use std::borrow::Cow;
use std::cell::OnceCell;

use models::Tensor;
use models::ops::Shape;

use super::design::{Design, pairwise_products, product};
use super::logistic::{Logistic, Search};
use super::preconditioner::Preconditioner;
use super::solution::Solution;
use super::targets::{Losses, Targets};
use super::transform::{FeatureScaling, FeatureTransform};
use crate::backend::cpu::kernels::dot::dot;
use crate::backend::cpu::kernels::matmul::Matrix;
use crate::backend::cpu::kernels::narrow::narrow_product;
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
    /// `[n, width]`, standardized or centered.
    features: Vec<f32>,
    classes: Vec<usize>,
    width: usize,
    scale: Standardization,
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
        let n = table.classes.len();
        let scale = match transform.scaling {
            FeatureScaling::Standardized => Standardization::of(&table),
            // Biases make up for it, and the preconditioner knows of no direction that all rows share.
            FeatureScaling::UnitLength => Standardization::centering(&table),
        };
        let features = scale.apply(&table);
        // That of unit vectors is 1, centered or not: it is what a strength is relative to.
        let square = match transform.scaling {
            FeatureScaling::Standardized => dot(&features, &features) / n.max(1) as f64,
            FeatureScaling::UnitLength => dot(&table.features, &table.features) / n.max(1) as f64,
        };
        let width = transform.pooling.width(task.shape);
        let products = (width > n).then(|| pairwise_products(Matrix::new(&features, n, width)));
        let images = rows.map_or(n / task.views, <[usize]>::len);
        Self { features, classes: table.classes, width, scale, products, square, images }
    }

    /// All rows.
    pub(super) fn all(&self, task: &SearchTask<'_>) -> RowSubset<'_> {
        let matrix = Cow::Borrowed(self.products.as_ref().unwrap_or(&self.features).as_slice());
        let (rows, losses) = ((0..self.classes.len()).collect(), task.losses(&self.classes));
        let images = self.images;
        RowSubset { table: self, images, rows, matrix, losses, preconditioner: OnceCell::new() }
    }

    /// These rows alone.
    pub(super) fn subset(&self, task: &SearchTask<'_>, rows: Vec<usize>) -> RowSubset<'_> {
        let matrix = Cow::Owned(self.matrix(&rows, &rows));
        let (images, losses) = (rows.len(), task.losses(&self.classes_of(&rows)));
        RowSubset { table: self, images, rows, matrix, losses, preconditioner: OnceCell::new() }
    }

    pub(super) fn classes_of(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.classes[row]).collect()
    }

    /// What coefficients that are fitted on some rows are multiplied by for the logits of others.
    pub(super) fn others(&self, rows: &[usize], fitted: &RowSubset<'_>) -> Vec<f32> {
        self.matrix(rows, &fitted.rows)
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
        self.scale.fold(&head)
    }

    /// The features of these rows, or their products with those.
    fn matrix(&self, rows: &[usize], columns: &[usize]) -> Vec<f32> {
        let Some(products) = &self.products else {
            return rows.iter().flat_map(|&row| &self.features[row * self.width..][..self.width]).copied().collect();
        };
        let mut matrix = Vec::with_capacity(rows.len() * columns.len());
        for &row in rows {
            let row = &products[row * self.classes.len()..][..self.classes.len()];
            matrix.extend(columns.iter().map(|&column| row[column]));
        }
        matrix
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
    preconditioner: OnceCell<Preconditioner>,
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
            preconditioner: &self.preconditioner,
        };
        problem.minimize(search)
    }

    /// Logits `[n, classes]` of others by coefficients that are fitted on these rows.
    pub(super) fn logits(&self, others: &[f32], solution: &Solution) -> Vec<f32> {
        let matrix = Matrix::new(others, others.len() / self.size().max(1), self.size());
        let mut logits = narrow_product(matrix, &solution.coefficients, solution.bias.len());
        logits.iter_mut().zip(solution.bias.iter().cycle()).for_each(|(logit, bias)| *logit += bias);
        logits
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
