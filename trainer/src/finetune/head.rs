//! A linear head on fixed features.

use models::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::backend::cpu::kernels::matmul::{MatmulMode, Matrix, matmul};
use crate::data::sampling::LastBatch;
use crate::events::{Event, Observer};
use crate::fit::metrics::Evaluation;
use crate::optim::loss::{CrossEntropy, Loss, LossError};
use crate::optim::schedule::Schedule;
use crate::optim::{OptimError, Optimizer, OptimizerKind, Parameter, Step};

/// How a head is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadOptions {
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

const RULE: OptimizerKind = OptimizerKind::Sgd { momentum: 0.9, nesterov: true };

/// Features with their classes.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// `[n, width]`, row-major.
    pub features: Vec<f32>,
    /// The class of each row.
    pub classes: Vec<usize>,
}

/// A trained head.
#[derive(Debug, Clone)]
pub struct Head {
    /// `[classes, width]`.
    pub weight: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
}

/// The head of the best epoch, and how it came about.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The head.
    pub head: Head,
    /// The epoch that it is of, counted from one.
    pub best_epoch: usize,
    /// What it does on the validation images.
    pub validation: Evaluation,
    /// Every epoch.
    pub history: Vec<Event>,
}

/// Why a head cannot be trained.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum HeadError {
    /// The optimiser cannot work so.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// The examples are not of these classes.
    #[error(transparent)]
    Loss(#[from] LossError),
}

impl Head {
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

    fn evaluate(&self, examples: &Examples) -> Evaluation {
        Evaluation::new(&self.logits(&examples.features), &examples.classes, self.bias.data().len())
    }
}

/// Trains a linear classifier by softmax cross-entropy and keeps the epoch that does best on the validation images, of
/// equals the last: the learning rate falls, so later epochs are the more settled ones. `None` when the observer stops
/// the run. Without validation images the last epoch is kept.
///
/// The training works on standardised features, because backbones differ by orders of magnitude in what they emit; mean
/// and deviation are folded into the head afterwards, so that it takes the features as they are.
///
/// # Errors
/// [`HeadError`] for a weight decay that makes no sense, or a class that is none of the `classes`.
pub fn train(
    training: &Examples,
    validation: &Examples,
    classes: usize,
    options: HeadOptions,
    observer: &mut dyn Observer,
) -> Result<Option<Trained>, HeadError> {
    let scale = Standardization::of(training);
    let width = scale.mean.len();
    let examples = scale.apply(training);
    let (mut weight, mut bias) = (vec![0.0; classes * width], vec![0.0; classes]);
    let decayed = Parameter { weight_decay: options.weight_decay, ..Parameter::plain("weight", weight.len()) };
    let mut optimizer = Optimizer::new(RULE, vec![decayed, Parameter::plain("bias", bias.len())])?;
    let mut order: Vec<usize> = (0..examples.classes.len()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let steps = (options.epochs * LastBatch::Keep.count(order.len(), options.batch_size)) as u64;
    let schedule = Schedule::Cosine { rate: options.learning_rate, end: 0.0, steps };
    let loss = CrossEntropy { label_smoothing: options.label_smoothing, class_weights: None };
    let validated = !validation.classes.is_empty();
    let (mut step, mut best, mut history) = (0, None::<Trained>, Vec::new());
    for epoch in 1..=options.epochs {
        order.shuffle(&mut rng);
        let mut total = 0.0;
        for batch in LastBatch::Keep.batches(&order, options.batch_size) {
            let batch = examples.rows(batch);
            let (mean, gradient) = gradient((&weight, &bias), &batch, &loss)?;
            let tensors = &mut [(weight.as_mut_slice(), &*gradient.weight), (&mut bias, &gradient.bias)];
            optimizer.step(tensors, Step::at(schedule.at(step)))?;
            total += mean * batch.classes.len() as f64;
            step += 1;
        }
        let head = scale.fold(&weight, &bias);
        let result = head.evaluate(validation);
        let event = Event::Epoch {
            epoch,
            epochs: options.epochs,
            train_loss: total / order.len() as f64,
            validation_loss: validated.then_some(result.loss),
            validation_top1: validated.then_some(result.top1),
        };
        history.push(event.clone());
        observer.event(event);
        if best.as_ref().is_none_or(|best| result.top1 >= best.validation.top1) {
            best = Some(Trained { head, best_epoch: epoch, validation: result, history: vec![] });
        }
        if observer.stopped() {
            return Ok(None);
        }
    }
    Ok(best.map(|best| Trained { history, ..best }))
}

/// The mean loss of a batch, and its gradient.
fn gradient(
    (weight, bias): (&[f32], &[f32]),
    batch: &Examples,
    loss: &CrossEntropy,
) -> Result<(f64, LinearGradient), LossError> {
    let (n, classes) = (batch.classes.len(), bias.len());
    let width = weight.len() / classes;
    let mut logits = bias.repeat(n);
    let matrix = Matrix::new(weight, classes, width).transposed();
    matmul(Matrix::new(&batch.features, n, width), matrix, &mut logits, MatmulMode::Accumulate);
    let Loss { mean, gradient, .. } = loss.of_classes(&logits, &batch.classes, classes)?;
    let mut found = LinearGradient { weight: vec![0.0; weight.len()], bias: vec![0.0; classes] };
    let x = Matrix::new(&batch.features, n, width);
    matmul(Matrix::new(&gradient, n, classes).transposed(), x, &mut found.weight, MatmulMode::Overwrite);
    for row in gradient.chunks(classes) {
        found.bias.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
    }
    Ok((mean, found))
}

/// The gradient of a loss with respect to the head's parameters.
struct LinearGradient {
    /// `[classes, features]`, row-major.
    weight: Vec<f32>,
    /// `[classes]`.
    bias: Vec<f32>,
}

/// `(x - mean) / deviation` for each feature.
struct Standardization {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Standardization {
    /// Of the training images. A feature that is always the same is left as it is.
    fn of(examples: &Examples) -> Self {
        let n = examples.classes.len();
        let width = examples.features.len() / n;
        let moment = |power: i32, mean: &[f64]| -> Vec<f64> {
            let mut sums = vec![0.0; width];
            for row in examples.features.chunks(width) {
                for ((sum, &x), mean) in sums.iter_mut().zip(row).zip(mean) {
                    *sum += (f64::from(x) - mean).powi(power) / n as f64;
                }
            }
            sums
        };
        let mean = moment(1, &vec![0.0; width]);
        let deviations = moment(2, &mean).into_iter().map(|variance| variance.sqrt() as f32);
        Self {
            mean: mean.iter().map(|&mean| mean as f32).collect(),
            deviation: deviations.map(|sigma| if sigma > 1e-6 { sigma } else { 1.0 }).collect(),
        }
    }

    fn apply(&self, examples: &Examples) -> Examples {
        let constants = self.mean.iter().zip(&self.deviation).cycle();
        let features = examples.features.iter().zip(constants).map(|(x, (mean, sigma))| (x - mean) / sigma).collect();
        Examples { features, classes: examples.classes.clone() }
    }

    /// The head on plain features that equals this one on standardised ones.
    fn fold(&self, weight: &[f32], bias: &[f32]) -> Head {
        let width = self.mean.len();
        let folded: Vec<f32> = weight.iter().zip(self.deviation.iter().cycle()).map(|(w, sigma)| w / sigma).collect();
        let shifted = folded.chunks(width).zip(bias).map(|(row, &bias)| {
            let shift: f64 = row.iter().zip(&self.mean).map(|(&w, &mean)| f64::from(w) * f64::from(mean)).sum();
            (f64::from(bias) - shift) as f32
        });
        let shifted: Vec<f32> = shifted.collect();
        Head { bias: Tensor::new([bias.len()], shifted), weight: Tensor::new([bias.len(), width], folded) }
    }
}

impl Examples {
    /// All of these.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = Examples>) -> Self {
        let mut all = Examples::default();
        for part in parts {
            all.features.extend(part.features);
            all.classes.extend(part.classes);
        }
        all
    }

    /// These rows.
    #[must_use]
    pub fn rows(&self, rows: &[usize]) -> Examples {
        let width = self.features.len() / self.classes.len().max(1);
        let features = rows.iter().flat_map(|&row| &self.features[row * width..(row + 1) * width]).copied().collect();
        Examples { features, classes: rows.iter().map(|&row| self.classes[row]).collect() }
    }
}
