//! What a classifier gets wrong.

use std::collections::BTreeMap;

use models::Labels;
use models::scores::{ScoreKind, softmax, top_k};
use serde::{Deserialize, Serialize};

use super::truths::Truths;
use crate::data::{Checksum, ImageName};

/// A class and another that images of it are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfusedPair {
    /// The number of the class that the images are of.
    pub truth: usize,
    /// The number of the class that they are taken for.
    pub predicted: usize,
    /// How many images.
    pub images: usize,
}

/// The pairs of a confusion matrix, `[truth][predicted]`, that are confused at all, the most frequent first.
#[must_use]
pub fn confused_pairs(confusion: &[Vec<usize>]) -> Vec<ConfusedPair> {
    let cells = confusion.iter().enumerate().flat_map(|(truth, row)| {
        row.iter().enumerate().map(move |(predicted, &images)| ConfusedPair { truth, predicted, images })
    });
    let mut pairs: Vec<ConfusedPair> = cells.filter(|pair| pair.truth != pair.predicted && pair.images > 0).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.images));
    pairs
}

/// How many answers of a kind are named.
const NAMED: usize = 24;
/// How many images of a cell of the confusion matrix are named.
const CELL_IMAGES: usize = 12;
/// How many images of all cells are named, so that a report of hundreds of classes stays small.
const CELLS_IMAGES: usize = 600;

/// What a model said to an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageAnswer {
    /// The image, below the data set's folder.
    #[cfg_attr(feature = "openapi", schema(example = "tulip/image_0612.jpg"))]
    pub image: String,
    /// Its id, if it is of a stored data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"))]
    pub id: Option<Checksum>,
    /// The class that the image is of; several are separated by commas.
    #[cfg_attr(feature = "openapi", schema(example = "tulip"))]
    pub truth: String,
    /// The class with the highest score; where images have several classes, those that are said to be there.
    #[cfg_attr(feature = "openapi", schema(example = "crocus"))]
    pub predicted: String,
    /// That score; of several classes that of the surest wrong one, or the highest.
    #[cfg_attr(feature = "openapi", schema(example = 0.91))]
    pub score: f64,
    /// The score of the class that the image is of; of several the lowest.
    #[cfg_attr(feature = "openapi", schema(example = 0.06))]
    pub truth_score: f64,
    /// The file of a small picture of it among the model's files, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "mistake-0.jpg"))]
    pub picture: Option<String>,
}

/// Images behind a cell of the confusion matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CellAnswers {
    /// The number of the class that the images are of.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub truth: usize,
    /// The number of the class that they are taken for.
    #[cfg_attr(feature = "openapi", schema(example = 7))]
    pub predicted: usize,
    /// The images, those with the highest scores first: 12 at most.
    pub images: Vec<ImageAnswer>,
}

/// The answers that are worth a look, 24 of a kind at most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotableAnswers {
    /// Wrong answers, those with the highest scores first: labels to check, or what the model has not learned.
    pub mistakes: Vec<ImageAnswer>,
    /// Answers whose two highest scores are the closest, right or wrong, the closest first.
    pub uncertain: Vec<ImageAnswer>,
    /// Where classes exclude each other: images behind the cells of the confusion matrix, wrong ones first, 600 in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub cells: Vec<CellAnswers>,
}

/// Answers to be chosen from.
#[derive(Debug, Clone, Copy)]
pub struct RankedAnswers<'a> {
    /// `[n, classes]`, row-major.
    pub logits: &'a [f32],
    /// What each row's image shows.
    pub truths: Truths<'a>,
    /// The names of the classes.
    pub labels: &'a Labels,
    /// The scores from which on classes count as said, where an image may have several.
    pub thresholds: Option<&'a [f32]>,
}

impl NotableAnswers {
    /// The notable ones of these answers; `name` says what the image of a row is called.
    #[must_use]
    pub fn new<N: Into<ImageName>>(answers: &RankedAnswers<'_>, name: impl Fn(usize) -> N) -> Self {
        let NotableRows { mistakes, uncertain } = answers.notable();
        let answer = |row: usize| answers.answer(row, name(row));
        let [mistakes, uncertain] = [mistakes, uncertain].map(|rows| rows.into_iter().map(answer).collect());
        let cell = |cell: CellRows| CellAnswers {
            truth: cell.truth,
            predicted: cell.predicted,
            images: cell.rows.into_iter().map(answer).collect(),
        };
        Self { mistakes, uncertain, cells: answers.cells().into_iter().map(cell).collect() }
    }
}

/// Rows of the answers that are worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotableRows {
    /// Wrong, those with the highest scores first.
    pub mistakes: Vec<usize>,
    /// With the closest scores, right or wrong.
    pub uncertain: Vec<usize>,
}

/// Rows behind a cell of the confusion matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRows {
    /// The number of the class that the images are of.
    pub truth: usize,
    /// The number of the class that they are taken for.
    pub predicted: usize,
    /// The rows, those with the highest scores first.
    pub rows: Vec<usize>,
}

impl RankedAnswers<'_> {
    /// Rows behind the cells of the confusion matrix, wrong cells first, as many as a report names. None where images have
    /// several classes.
    #[must_use]
    pub fn cells(&self) -> Vec<CellRows> {
        if self.truths.sets.is_some() {
            return vec![];
        }
        let mut cells: BTreeMap<(bool, usize, usize), Vec<(f32, usize)>> = BTreeMap::new();
        for (row, &truth) in self.truths.numbers.iter().enumerate() {
            let scores = self.scores(row);
            let best = top_k(&scores, 1)[0];
            cells.entry((truth == best, truth, best)).or_default().push((-scores[best], row));
        }
        let mut room = CELLS_IMAGES;
        let chosen = cells.into_iter().map(|((_, truth, predicted), keyed)| {
            let rows: Vec<usize> = sorted(keyed).into_iter().take(CELL_IMAGES.min(room)).collect();
            room -= rows.len();
            CellRows { truth, predicted, rows }
        });
        chosen.filter(|cell| !cell.rows.is_empty()).collect()
    }

    /// The rows that are worth a look.
    #[must_use]
    pub fn notable(&self) -> NotableRows {
        let (mut mistakes, mut margins) = (Vec::new(), Vec::new());
        for row in 0..self.truths.numbers.len() {
            let scores = self.scores(row);
            if let Some(surprise) = self.surprise(row, &scores) {
                mistakes.push((-surprise, row));
            }
            margins.push((self.margin(&scores), row));
        }
        let [mistakes, uncertain] = [mistakes, margins].map(|keyed| {
            let rows = sorted(keyed).into_iter();
            rows.take(NAMED).collect()
        });
        NotableRows { mistakes, uncertain }
    }

    /// All rows that are answered wrongly, those first whose own class has the least score: their labels may be wrong. Where
    /// images have several classes, those first whose surest wrong class is surest.
    #[must_use]
    pub fn doubtful(&self) -> Vec<usize> {
        let doubt = |row: usize| {
            let scores = self.scores(row);
            let surprise = self.surprise(row, &scores)?;
            let key = if self.truths.sets.is_some() { -surprise } else { scores[self.truths.numbers[row]] };
            Some((key, row))
        };
        sorted((0..self.truths.numbers.len()).filter_map(doubt).collect())
    }

    /// The answer of a row, to the image of this name.
    #[must_use]
    pub fn answer(&self, row: usize, name: impl Into<ImageName>) -> ImageAnswer {
        let ImageName { image, id } = name.into();
        let (scores, own) = (self.scores(row), self.truths.of(row));
        let named = |classes: &[usize]| {
            let labels: Vec<&str> = classes.iter().map(|&class| self.labels.get(class).unwrap_or_default()).collect();
            if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
        };
        let best = top_k(&scores, 1)[0];
        let (predicted, score) = match self.truths.sets {
            None => (vec![best], scores[best]),
            Some(_) => {
                let said: Vec<usize> = (0..scores.len()).filter(|&class| self.said(&scores, class)).collect();
                let wrong = said.iter().filter(|class| !own.contains(class)).map(|&class| scores[class]);
                let surest = wrong.fold(f32::NEG_INFINITY, f32::max);
                (said, if surest.is_finite() { surest } else { scores[best] })
            }
        };
        let least = own.iter().map(|&class| scores[class]).fold(1.0, f32::min);
        let truth_score = if own.is_empty() { 0.0 } else { least.into() };
        let (truth, predicted, score) = (named(own), named(&predicted), score.into());
        ImageAnswer { image, id, truth, predicted, score, truth_score, picture: None }
    }

    /// How sure the answer is that is wrong; `None` if it is right. Of several classes, how far the score of one is from what
    /// it should be.
    fn surprise(&self, row: usize, scores: &[f32]) -> Option<f32> {
        let own = self.truths.of(row);
        if self.truths.sets.is_none() {
            let best = top_k(scores, 1)[0];
            return (!own.contains(&best)).then(|| scores[best]);
        }
        let wrong = (0..scores.len()).filter(|class| self.said(scores, *class) != own.contains(class));
        wrong.map(|class| if own.contains(&class) { 1.0 - scores[class] } else { scores[class] }).reduce(f32::max)
    }

    /// How close an answer was to being another one.
    fn margin(&self, scores: &[f32]) -> f32 {
        if self.truths.sets.is_some() {
            let distances = (0..scores.len()).map(|class| (scores[class] - self.threshold(class)).abs());
            return distances.fold(1.0, f32::min);
        }
        let best = top_k(scores, 2);
        best.get(1).map_or(1.0, |&second| scores[best[0]] - scores[second])
    }

    fn said(&self, scores: &[f32], class: usize) -> bool {
        scores[class] >= self.threshold(class)
    }

    fn threshold(&self, class: usize) -> f32 {
        self.thresholds.and_then(|thresholds| thresholds.get(class)).copied().unwrap_or(ScoreKind::THRESHOLD)
    }

    fn scores(&self, row: usize) -> Vec<f32> {
        let classes = self.labels.len();
        let logits = &self.logits[row * classes..][..classes];
        if self.truths.sets.is_some() { ScoreKind::Sigmoid.scores(logits) } else { softmax(logits, 1.0) }
    }
}

/// The rows in the order of their keys, the least first.
fn sorted(mut keyed: Vec<(f32, usize)>) -> Vec<usize> {
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, row)| row).collect()
}
