//! A linear classifier, and the features that it is trained on.

use models::graph::{Node, NodeId};
use models::params::ParamsError;
use models::vectorized;
use models::{Network, Tensor};
use serde::{Deserialize, Serialize};

use crate::backend::cpu::kernels::matmul::{MatmulMode, Matrix, matmul};

/// The layers that become the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
pub enum HeadKind {
    /// One linear layer.
    #[default]
    Linear,
    /// The head of VGG's article: two layers of 4096 with ReLU and dropout of one half, then the linear one. It is trained by SGD
    /// on features as they are.
    Article,
}

/// How the head's weights are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
pub enum HeadSolver {
    /// `lbfgs`, or `sgd` for more than 2 GiB of features or where one of its options is set.
    #[default]
    Auto,
    /// On all features at once; their transform and the penalty are chosen by cross-validation.
    Lbfgs,
    /// By stochastic gradient descent on standardized features; the validation images choose the best epoch.
    Sgd,
}

/// How a head is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadOptions {
    /// One linear layer, or the article's three.
    pub kind: HeadKind,
    /// How the weights of a linear head are found. What is below down to the smoothing is for SGD alone.
    pub solver: HeadSolver,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step.
    pub batch_size: usize,
    /// The first learning rate; it falls to zero along a cosine.
    pub learning_rate: f64,
    /// L2 penalty on the weights, not on the biases.
    pub weight_decay: f64,
    /// The share of each target that is spread over all classes, 0..1 (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// Decides the order of the images.
    pub seed: u64,
}

/// Features with their classes.
#[derive(Debug, Clone, Default)]
pub struct LabeledFeatures {
    /// `[n, width]`, row-major.
    pub features: Vec<f32>,
    /// The class of each row.
    pub classes: Vec<usize>,
}

impl LabeledFeatures {
    /// How many numbers a row has; 0 where there is no row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.features.len() / self.classes.len().max(1)
    }

    /// The rows of all tables, one table after the other.
    #[must_use]
    pub fn concat(tables: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for table in tables {
            all.features.extend(table.features);
            all.classes.extend(table.classes);
        }
        all
    }

    /// These rows, in this order.
    #[must_use]
    pub fn rows(&self, rows: &[usize]) -> Self {
        let width = self.width();
        let features = rows.iter().flat_map(|&row| &self.features[row * width..(row + 1) * width]).copied().collect();
        Self { features, classes: rows.iter().map(|&row| self.classes[row]).collect() }
    }
}

/// A trained head.
#[derive(Debug, Clone)]
pub struct LinearHead {
    /// `[classes, width]`.
    pub weight: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
}

impl LinearHead {
    /// The weights of this linear layer of a network.
    ///
    /// # Errors
    /// [`ParamsError::Missing`] for a layer that has no weights or no biases.
    pub(super) fn of(network: &Network, layer: NodeId) -> Result<Self, ParamsError> {
        let Node { name, params, .. } = network.graph.node(layer);
        let mut tensors = params.iter().map(|name| network.params.get(name).cloned());
        let mut next = || tensors.next().flatten().ok_or_else(|| ParamsError::Missing { name: name.clone() });
        Ok(Self { weight: next()?, bias: next()? })
    }

    /// Whether all of its numbers are.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.weight.data().iter().chain(self.bias.data()).all(|number| number.is_finite())
    }

    /// Logits `[n, classes]` for features `[n, width]`, both row-major.
    #[must_use]
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let (classes, width) = (self.weight.shape()[0], self.weight.shape()[1]);
        let n = features.len() / width;
        let mut logits = self.bias.data().repeat(n);
        let weight = Matrix::new(self.weight.data(), classes, width).transposed();
        matmul(Matrix::new(features, n, width), weight, &mut logits, MatmulMode::Accumulate);
        logits
    }
}

/// `(x - mean) / deviation` for each feature, or `x - mean` alone.
pub(super) struct Standardization {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Standardization {
    /// Measured over the training images. A feature that never varies keeps its scale.
    pub(super) fn of(table: &LabeledFeatures) -> Self {
        let mean = means(table, &vec![0.0; table.width()], |x| x);
        let variances = means(table, &mean, |x| x * x);
        let deviations = variances.into_iter().map(|variance| variance.sqrt() as f32);
        Self {
            mean: mean.iter().map(|&mean| mean as f32).collect(),
            deviation: deviations.map(|sigma| if sigma > 1e-6 { sigma } else { 1.0 }).collect(),
        }
    }

    /// `x - mean` for each feature.
    pub(super) fn centering(table: &LabeledFeatures) -> Self {
        let mean = means(table, &vec![0.0; table.width()], |x| x);
        Self { mean: mean.iter().map(|&mean| mean as f32).collect(), deviation: vec![1.0; mean.len()] }
    }

    /// Standardized features, `[n, width]`.
    pub(super) fn apply(&self, table: &LabeledFeatures) -> Vec<f32> {
        let mut features = Vec::with_capacity(table.features.len());
        for row in table.features.chunks(self.mean.len().max(1)) {
            features
                .extend(row.iter().zip(&self.mean).zip(&self.deviation).map(|((x, mean), sigma)| (x - mean) / sigma));
        }
        features
    }

    /// The head on plain features that equals this head on those.
    pub(super) fn fold(&self, head: &LinearHead) -> LinearHead {
        let (weight, bias) = (head.weight.data(), head.bias.data());
        let width = self.mean.len();
        let folded: Vec<f32> = weight.iter().zip(self.deviation.iter().cycle()).map(|(w, sigma)| w / sigma).collect();
        let shifted = folded.chunks(width).zip(bias).map(|(row, &bias)| {
            let shift: f64 = row.iter().zip(&self.mean).map(|(&w, &mean)| f64::from(w) * f64::from(mean)).sum();
            (f64::from(bias) - shift) as f32
        });
        let shifted: Vec<f32> = shifted.collect();
        LinearHead { bias: Tensor::new([bias.len()], shifted), weight: Tensor::new([bias.len(), width], folded) }
    }
}

/// The mean of a term of each feature minus a number of its own.
fn means(table: &LabeledFeatures, minus: &[f64], term: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; minus.len()];
    vectorized!({
        for row in table.features.chunks(minus.len().max(1)) {
            sums.iter_mut().zip(row).zip(minus).for_each(|((sum, &x), minus)| *sum += term(f64::from(x) - minus));
        }
    });
    let n = table.classes.len().max(1) as f64;
    sums.into_iter().map(|sum| sum / n).collect()
}
