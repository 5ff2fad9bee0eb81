//! Which transform of the features, and how strong a penalty: chosen by cross-validation on the training images.

use std::cmp::Ordering;

use models::scores::top_k;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::logistic::{Search, Stopping};
use super::rows::{RowSubset, SearchTask, TransformedRows};
use super::solution::Solution;
use super::transform::FeatureTransform;
use crate::data::folds;
use crate::events::{Observer, Phase};
use crate::finetune::FinetuneError;
use crate::finetune::head::LinearHead;
use crate::finetune::stage::Progress;
use crate::metrics::{Evaluation, Truths, joint_cross_entropy};

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
/// Parts that every transform is tried on. Those that are clearly worse there go no further.
const HEAT: usize = 2;
/// A transform is clearly worse if its errors exceed the best one's by so many standard errors of their difference.
const CLEARLY: f64 = 1.0;

const CHOOSING: Stopping = Stopping { fall: 1e-4, steps: 100 };
const FINAL: Stopping = Stopping { fall: 1e-6, steps: 500 };

/// A transform with the strength that suits it best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) transform: FeatureTransform,
    pub(super) strength: f64,
    /// How many images were left out, each once.
    pub(super) images: usize,
    /// The share of them that were classified correctly.
    pub(super) top1: f64,
    /// Where classes stand beside each other.
    pub(super) mean_average_precision: Option<f64>,
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

/// Tries every transform on some parts of the images, and those that are not clearly worse than the best on all.
pub(super) fn search(task: &SearchTask<'_>, observer: &mut dyn Observer) -> Result<SearchResult, FinetuneError> {
    let folds = Folds::new(task, ROWS);
    let classes = if task.sets.is_some() { FOLDS } else { task.classes };
    if folds.images.len() < 2 * classes.max(FOLDS) {
        return Ok(SearchResult { candidates: vec![], out_of_fold: None });
    }
    let total = task.transforms.len() + 2;
    let mut trials: Vec<Trial> = Vec::new();
    for (done, &transform) in task.transforms.iter().enumerate() {
        Progress { phase: Phase::Training, done, total }.report(observer)?;
        let mut trial = Trial::new(transform);
        let parts = if task.transforms.len() == 1 { FOLDS } else { HEAT };
        within_the_pool(|| trial.advance(task, &folds, parts));
        trials.push(trial);
    }
    let dropped = left_behind(&mut trials, task, &folds);
    for trial in trials.iter_mut().filter(|trial| trial.parts < FOLDS) {
        Progress { phase: Phase::Training, done: total - 2, total }.report(observer)?;
        within_the_pool(|| trial.advance(task, &folds, FOLDS));
    }
    trials.sort_by(Trial::order);
    let logits = trials.first_mut().map(|trial| std::mem::take(&mut trial.logits));
    let out_of_fold = logits.map(|logits| OutOfFold { images: folds.images, logits });
    let candidates = trials.iter().chain(&dropped).map(|trial| trial.best).collect();
    Ok(SearchResult { candidates, out_of_fold })
}

/// Works on a thread that shares its products with others at once. From elsewhere each of thousands of small products would be handed
/// over, and waited for.
fn within_the_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// Takes away the trials that are clearly worse than the best, and gives them, the best first.
fn left_behind(trials: &mut Vec<Trial>, task: &SearchTask<'_>, folds: &Folds) -> Vec<Trial> {
    trials.sort_by(Trial::order);
    let Some(best) = trials.first() else { return vec![] };
    let errors = best.errors(task, folds);
    let worse = |trial: &Trial| {
        let differences: Vec<f64> =
            trial.errors(task, folds).iter().zip(&errors).map(|(own, best)| own - best).collect();
        let n = differences.len().max(2) as f64;
        let mean = differences.iter().sum::<f64>() / n;
        let variance = differences.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>() / (n - 1.0);
        mean > CLEARLY * (variance / n).sqrt()
    };
    let (dropped, kept) = std::mem::take(trials).into_iter().partition(|trial| trial.parts < FOLDS && worse(trial));
    *trials = kept;
    dropped
}

/// The logits of every training image by heads of this kind.
pub(super) fn out_of_fold(task: &SearchTask<'_>, candidate: &Candidate) -> OutOfFold {
    let folds = Folds::new(task, usize::MAX);
    let Candidate { transform, strength, .. } = *candidate;
    let logits = within_the_pool(|| {
        let rows = TransformedRows::new(task, transform, Some(&folds.images));
        let mut logits = vec![0.0; folds.images.len() * task.classes];
        for part in 0..FOLDS {
            let search = Search { start: None, stopping: CHOOSING };
            folds.fold(task, &rows, part).predict(strength, search, &mut logits);
        }
        logits
    });
    OutOfFold { images: folds.images, logits }
}

/// The head of this transform and strength on all training images.
pub(super) fn fit(task: &SearchTask<'_>, transform: FeatureTransform, strength: Option<f64>) -> LinearHead {
    let strength = strength.unwrap_or(FALLBACK);
    let path = STRENGTHS.into_iter().filter(|&weaker| weaker < strength).map(|weaker| (weaker, CHOOSING));
    within_the_pool(|| {
        let rows = TransformedRows::new(task, transform, None);
        let all = rows.all(task);
        let start =
            path.fold(None, |start, (weaker, stopping)| Some(all.minimize(task, weaker, Search { start, stopping })));
        rows.head(&all.minimize(task, strength, Search { start, stopping: FINAL }))
    })
}

/// The images that choose, in parts.
struct Folds {
    /// The number of each image.
    images: Vec<usize>,
    /// Which fold each of them is in, from 0.
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
        order.sort_unstable();
        let numbers: Vec<usize> = order.iter().map(|&image| task.training.classes[image]).collect();
        Self { parts: folds(&numbers, task.sets, FOLDS, task.seed), images: order }
    }

    /// The rows of a part, and those that are trained on while it is left out.
    fn fold<'a>(&self, task: &'a SearchTask<'a>, rows: &'a TransformedRows, part: usize) -> Fold<'a> {
        let (held_out, training) = (0..self.images.len()).partition(|&row: &usize| self.parts[row] == part);
        let subset = rows.subset(task, training);
        Fold { task, others: rows.others(&held_out, &subset), subset, held_out }
    }

    /// The rows of the first parts.
    fn rows_below(&self, part: usize) -> Vec<usize> {
        (0..self.images.len()).filter(|&row| self.parts[row] < part).collect()
    }
}

/// A transform on its way through the parts and the strengths.
struct Trial {
    /// How many parts were left out.
    parts: usize,
    /// Of each strength, from the weakest head on, the logits of the images of those parts, `[n, classes]`.
    tried: Vec<Vec<f32>>,
    /// The last solution of each part.
    solutions: [Option<Solution>; FOLDS],
    best: Candidate,
    /// The same of the best strength.
    logits: Vec<f32>,
}

impl Trial {
    fn new(transform: FeatureTransform) -> Self {
        let best = Candidate {
            transform,
            strength: FALLBACK,
            images: 0,
            top1: 0.0,
            mean_average_precision: None,
            loss: f64::INFINITY,
        };
        Self { parts: 0, tried: vec![], solutions: [const { None }; FOLDS], best, logits: vec![] }
    }

    /// The better of two first.
    fn order(&self, other: &Self) -> Ordering {
        let rank = |trial: &Self| trial.best.mean_average_precision.unwrap_or(trial.best.top1);
        rank(other).total_cmp(&rank(self)).then(self.best.loss.total_cmp(&other.best.loss))
    }

    /// Leaves out so many parts: each strength from the last one's coefficients, until the head no longer gets better. Strengths
    /// well below the best one of the parts before are not tried again.
    fn advance(&mut self, task: &SearchTask<'_>, folds: &Folds, parts: usize) {
        // The plain views alone: the others cost as much again and choose the same.
        let rows = TransformedRows::new(task, self.best.transform, Some(&folds.images));
        let measured = folds.rows_below(parts);
        let truths = rows.classes_of(&measured);
        let mut subsets: [Option<Fold<'_>>; FOLDS] = [const { None }; FOLDS];
        let before = std::mem::replace(&mut self.parts, parts);
        let earlier = folds.rows_below(before);
        let known = std::mem::take(&mut self.tried);
        let mut worse = 0;
        let best = STRENGTHS.iter().position(|&strength| before > 0 && strength == self.best.strength);
        let begin = best.map_or(0, |best| best.saturating_sub(1));
        self.best.loss = f64::INFINITY;
        for (number, strength) in STRENGTHS.into_iter().enumerate().skip(begin) {
            let mut all = vec![0.0; folds.images.len() * task.classes];
            let tried = known.get(number);
            for (&row, logits) in earlier.iter().zip(tried.into_iter().flat_map(|tried| tried.chunks(task.classes))) {
                all[row * task.classes..][..task.classes].copy_from_slice(logits);
            }
            let first = if tried.is_some() { before } else { 0 };
            let folding = subsets.iter_mut().zip(&mut self.solutions).enumerate();
            for (part, (fold, solution)) in folding.take(parts).skip(first) {
                let fold = fold.get_or_insert_with(|| folds.fold(task, &rows, part));
                let search = Search { start: solution.take(), stopping: CHOOSING };
                *solution = Some(fold.predict(strength, search, &mut all));
            }
            let row = |&row: &usize| all[row * task.classes..][..task.classes].iter().copied();
            let logits: Vec<f32> = measured.iter().flat_map(row).collect();
            let truths = Truths { numbers: &truths, classes: task.classes, sets: task.sets };
            let Evaluation { images, top1, mean_average_precision, loss, .. } = Evaluation::of(&logits, truths, None);
            if loss < self.best.loss {
                self.best = Candidate { strength, images, top1, mean_average_precision, loss, ..self.best };
                (self.logits, worse) = (logits.clone(), 0);
            } else {
                worse += 1;
            }
            self.tried.push(logits);
            if worse == PATIENCE {
                break;
            }
        }
    }

    /// How wrong each image is that was left out: 1 or 0, or the cross-entropy where classes stand beside each other.
    fn errors(&self, task: &SearchTask<'_>, folds: &Folds) -> Vec<f64> {
        let error = |(row, logits): (usize, &[f32])| {
            let number = task.training.classes[folds.images[row]];
            match task.sets {
                None => {
                    if top_k(logits, 1).first() == Some(&number) {
                        0.0
                    } else {
                        1.0
                    }
                }
                Some(sets) => joint_cross_entropy(logits, &sets.targets(&[number])),
            }
        };
        folds.rows_below(self.parts).into_iter().zip(self.logits.chunks(task.classes)).map(error).collect()
    }
}

/// The rows that are trained on while others are left out.
struct Fold<'a> {
    task: &'a SearchTask<'a>,
    subset: RowSubset<'a>,
    held_out: Vec<usize>,
    /// What makes their logits.
    others: Vec<f32>,
}

impl Fold<'_> {
    /// Writes the logits of the rows that are left out into those of all rows, `[n, classes]`.
    fn predict(&self, strength: f64, search: Search, logits: &mut [f32]) -> Solution {
        let Self { task, subset, held_out, others } = self;
        let solution = subset.minimize(task, strength, search);
        let predicted = subset.logits(others, &solution);
        for (&row, predicted) in held_out.iter().zip(predicted.chunks(task.classes)) {
            logits[row * task.classes..][..task.classes].copy_from_slice(predicted);
        }
        solution
    }
}
