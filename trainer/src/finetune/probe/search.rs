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
use crate::fit::metrics::Evaluation;

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
    /// Over the images that were left out, each once.
    pub(super) held_out: HeldOut,
}

/// Results on images that were left out of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct HeldOut {
    pub(super) images: usize,
    pub(super) correct: usize,
    /// The sum of their cross-entropies.
    pub(super) loss: f64,
}

/// The best strength of every transform, the best transform first; empty where there are too few images to choose.
pub(super) fn search(task: &SearchTask<'_>, observer: &mut dyn Observer) -> Result<Vec<Candidate>, FinetuneError> {
    let folds = Folds::new(task);
    if folds.images.len() < 2 * task.classes.max(FOLDS) {
        return Ok(Vec::new());
    }
    let mut candidates = Vec::new();
    for (done, &transform) in task.transforms.iter().enumerate() {
        Progress { phase: Phase::Training, done, total: task.transforms.len() + 1 }.report(observer)?;
        candidates.push(evaluate(task, transform, &folds));
    }
    let rank = |a: &Candidate, b: &Candidate| {
        b.held_out.correct.cmp(&a.held_out.correct).then(a.held_out.loss.total_cmp(&b.held_out.loss))
    };
    candidates.sort_by(rank);
    Ok(candidates)
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
    /// Each class is spread over all parts.
    fn new(task: &SearchTask<'_>) -> Self {
        let images = task.training.classes.len() / task.views;
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let mut order: Vec<usize> = (0..images).collect();
        order.shuffle(&mut rng);
        order.truncate(ROWS);
        order.sort_by_key(|&image| task.training.classes[image]);
        let parts = (0..order.len()).map(|position| position % FOLDS).collect();
        Self { images: order, parts }
    }
}

/// The strength that suits a transform best: the strengths from the weakest head on, each from the last one's coefficients,
/// until the head no longer gets better.
fn evaluate(task: &SearchTask<'_>, transform: FeatureTransform, folds: &Folds) -> Candidate {
    // The plain views alone: the others cost as much again and choose the same.
    let rows = TransformedRows::new(task, transform, Some(&folds.images));
    let fold = |part: usize| {
        let (held_out, training) = (0..folds.images.len()).partition(|&row: &usize| folds.parts[row] == part);
        Fold { subset: rows.subset(training), held_out, solution: None }
    };
    let mut folds: Vec<Fold<'_>> = (0..FOLDS).map(fold).collect();
    let mut best =
        Candidate { transform, strength: FALLBACK, held_out: HeldOut { loss: f64::INFINITY, ..HeldOut::default() } };
    let mut worse = 0;
    for strength in STRENGTHS {
        let mut held_out = HeldOut::default();
        for fold in &mut folds {
            let solution =
                fold.subset.minimize(task, strength, Search { start: fold.solution.take(), stopping: CHOOSING });
            held_out.add(&rows.logits(&fold.held_out, &fold.subset, &solution), &rows.classes_of(&fold.held_out));
            fold.solution = Some(solution);
        }
        if held_out.loss < best.held_out.loss {
            (best, worse) = (Candidate { transform, strength, held_out }, 0);
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
    subset: RowSubset<'a>,
    held_out: Vec<usize>,
    /// For the last strength.
    solution: Option<Solution>,
}

impl HeldOut {
    /// Adds results: logits `[n, classes]`.
    fn add(&mut self, logits: &[f32], classes: &[usize]) {
        let result = Evaluation::new(logits, classes, logits.len() / classes.len().max(1));
        self.images += result.images;
        self.correct += (result.top1 * result.images as f64).round() as usize;
        self.loss += result.loss * result.images as f64;
    }
}
