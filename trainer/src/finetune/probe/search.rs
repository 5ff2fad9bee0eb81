//! Which transform of the features, and how strong a penalty: chosen by cross-validation on the training images.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::logistic::{Search, Solution, Stopping};
use super::rows::{RowSubset, SearchTask, TransformedRows};
use super::transform::FeatureTransform;
use crate::events::{Observer, Phase};
use crate::finetune::FinetuneError;
use crate::finetune::head::LinearHead;
use crate::finetune::stage::Progress;
use crate::metrics::Evaluation;

/// Parts that the training images are divided into; each is left out once.
const FOLDS: usize = 5;
/// The most rows that choose. More would hardly choose otherwise, and the cost grows with them.
const ROWS: usize = 4096;
/// `mean ‖x‖² / (penalty · images)` of a fit, where `‖x‖` is the length of a row: scikit-learn's `C` times that square, so
/// that one list serves features of every scale.
const STRENGTHS: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0];
/// Where there are too few images to choose.
const FALLBACK: f64 = 30.0;
/// The path ends when this many weaker penalties in a row were no better.
const PATIENCE: usize = 2;

const CHOOSING: Stopping = Stopping { gradient: 3e-3, steps: 60 };
const FINAL: Stopping = Stopping { gradient: 3e-4, steps: 500 };

/// A transform with the strength that suits it best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) transform: FeatureTransform,
    pub(super) strength: f64,
    /// How many images were left out, each once.
    pub(super) images: usize,
    /// The share of them that were classified correctly.
    pub(super) top1: f64,
    /// Their mean cross-entropy.
    pub(super) loss: f64,
}

/// What was tried, and the logits of the best.
pub(super) struct SearchResult {
    /// The best strength of every transform, the best transform first; empty where there are too few images to choose.
    pub(super) candidates: Vec<Candidate>,
    /// Of the best, at its strength.
    pub(super) out_of_fold: Option<OutOfFold>,
}

/// Logits of training images by heads that were trained without them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutOfFold {
    /// The number of each image among the training images, ascending.
    pub images: Vec<usize>,
    /// `[n, classes]`, row-major.
    pub logits: Vec<f32>,
}

/// Tries every transform.
pub(super) fn search(task: &SearchTask<'_>, observer: &mut dyn Observer) -> Result<SearchResult, FinetuneError> {
    let folds = Folds::new(task, ROWS);
    if folds.images.len() < 2 * task.classes.max(FOLDS) {
        return Ok(SearchResult { candidates: vec![], out_of_fold: None });
    }
    let mut candidates: Vec<(Candidate, Vec<f32>)> = Vec::new();
    for (done, &transform) in task.transforms.iter().enumerate() {
        Progress { phase: Phase::Training, done, total: task.transforms.len() + 1 }.report(observer)?;
        candidates.push(evaluate(task, transform, &folds));
    }
    let rank = |a: &Candidate, b: &Candidate| b.top1.total_cmp(&a.top1).then(a.loss.total_cmp(&b.loss));
    candidates.sort_by(|(a, _), (b, _)| rank(a, b));
    let logits = candidates.first_mut().map(|(_, logits)| std::mem::take(logits));
    let out_of_fold = logits.map(|logits| OutOfFold { images: folds.images, logits });
    Ok(SearchResult { candidates: candidates.into_iter().map(|(candidate, _)| candidate).collect(), out_of_fold })
}

/// The logits of every training image by heads of this kind.
pub(super) fn out_of_fold(task: &SearchTask<'_>, candidate: &Candidate) -> OutOfFold {
    let folds = Folds::new(task, usize::MAX);
    let Candidate { transform, strength, .. } = *candidate;
    let rows = TransformedRows::new(task, transform, Some(&folds.images));
    let mut logits = vec![0.0; folds.images.len() * task.classes];
    for fold in &mut folds.split(&rows) {
        fold.predict(task, strength, &mut logits);
    }
    OutOfFold { images: folds.images, logits }
}

/// The head of this transform and strength on all training images.
pub(super) fn fit(task: &SearchTask<'_>, transform: FeatureTransform, strength: Option<f64>) -> LinearHead {
    let strength = strength.unwrap_or(FALLBACK);
    let rows = TransformedRows::new(task, transform, None);
    let all = rows.all();
    let path = STRENGTHS.into_iter().filter(|&weaker| weaker < strength).map(|weaker| (weaker, CHOOSING));
    let start =
        path.fold(None, |start, (weaker, stopping)| Some(all.minimize(task, weaker, Search { start, stopping })));
    rows.head(&all.minimize(task, strength, Search { start, stopping: FINAL }))
}

/// The images that choose, in parts.
struct Folds {
    /// The number of each image.
    images: Vec<usize>,
    /// The part of each of them.
    parts: Vec<usize>,
}

impl Folds {
    /// Of so many images at most, drawn at random. Each class is spread over all parts.
    fn new(task: &SearchTask<'_>, most: usize) -> Self {
        let images = task.training.classes.len() / task.views;
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let mut order: Vec<usize> = (0..images).collect();
        order.shuffle(&mut rng);
        order.truncate(most);
        order.sort_by_key(|&image| task.training.classes[image]);
        let mut parts: Vec<(usize, usize)> =
            (0..).zip(order).map(|(position, image)| (image, position % FOLDS)).collect();
        parts.sort_unstable();
        let (images, parts) = parts.into_iter().unzip();
        Self { images, parts }
    }

    /// The rows of each part, and those that are trained on while it is left out.
    fn split<'a>(&self, rows: &'a TransformedRows) -> Vec<Fold<'a>> {
        let fold = |part: usize| {
            let (held_out, training) = (0..self.images.len()).partition(|&row: &usize| self.parts[row] == part);
            Fold { rows, subset: rows.subset(training), held_out, solution: None }
        };
        (0..FOLDS).map(fold).collect()
    }
}

/// The strength that suits a transform best, and its logits: the strengths from the weakest head on, each from the last one's
/// coefficients, until the head no longer gets better.
fn evaluate(task: &SearchTask<'_>, transform: FeatureTransform, folds: &Folds) -> (Candidate, Vec<f32>) {
    // The plain views alone: the others cost as much again and choose the same.
    let rows = TransformedRows::new(task, transform, Some(&folds.images));
    let truths = rows.classes_of(&(0..folds.images.len()).collect::<Vec<_>>());
    let mut folds = folds.split(&rows);
    let mut best = (Candidate { transform, strength: FALLBACK, images: 0, top1: 0.0, loss: f64::INFINITY }, vec![]);
    let mut worse = 0;
    for strength in STRENGTHS {
        let mut logits = vec![0.0; truths.len() * task.classes];
        for fold in &mut folds {
            fold.predict(task, strength, &mut logits);
        }
        let Evaluation { images, top1, loss, .. } = Evaluation::new(&logits, &truths, task.classes);
        if loss < best.0.loss {
            (best, worse) = ((Candidate { transform, strength, images, top1, loss }, logits), 0);
        } else {
            worse += 1;
        }
        if worse == PATIENCE {
            break;
        }
    }
    best
}

/// The rows that are trained on while others are left out.
struct Fold<'a> {
    rows: &'a TransformedRows,
    subset: RowSubset<'a>,
    held_out: Vec<usize>,
    /// For the last strength.
    solution: Option<Solution>,
}

impl Fold<'_> {
    /// Writes the logits of the rows that are left out into those of all rows, `[n, classes]`.
    fn predict(&mut self, task: &SearchTask<'_>, strength: f64, logits: &mut [f32]) {
        let search = Search { start: self.solution.take(), stopping: CHOOSING };
        let solution = self.subset.minimize(task, strength, search);
        let predicted = self.rows.logits(&self.held_out, &self.subset, &solution);
        for (&row, predicted) in self.held_out.iter().zip(predicted.chunks(task.classes)) {
            logits[row * task.classes..][..task.classes].copy_from_slice(predicted);
        }
        self.solution = Some(solution);
    }
}
