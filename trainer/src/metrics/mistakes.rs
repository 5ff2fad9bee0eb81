//! What a classifier gets wrong.

use models::Labels;
use models::scores::{softmax, top_k};
use serde::{Deserialize, Serialize};

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

/// What a model said to an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageAnswer {
    /// The image, below the data set's folder.
    #[cfg_attr(feature = "openapi", schema(example = "tulip/image_0612.jpg"))]
    pub image: String,
    /// The class that the image is of.
    #[cfg_attr(feature = "openapi", schema(example = "tulip"))]
    pub truth: String,
    /// The class with the highest score.
    #[cfg_attr(feature = "openapi", schema(example = "crocus"))]
    pub predicted: String,
    /// That score.
    #[cfg_attr(feature = "openapi", schema(example = 0.91))]
    pub score: f64,
    /// The score of the class that the image is of.
    #[cfg_attr(feature = "openapi", schema(example = 0.06))]
    pub truth_score: f64,
    /// The file of a small picture of it among the model's files, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "mistake-0.jpg"))]
    pub picture: Option<String>,
}

/// The answers that are worth a look, 24 of a kind at most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotableAnswers {
    /// Wrong answers, those with the highest scores first: labels to check, or what the model has not learned.
    pub mistakes: Vec<ImageAnswer>,
    /// Answers whose two highest scores are the closest, right or wrong, the closest first.
    pub uncertain: Vec<ImageAnswer>,
}

/// Answers to be chosen from.
#[derive(Debug, Clone, Copy)]
pub struct RankedAnswers<'a> {
    /// `[n, classes]`, row-major.
    pub logits: &'a [f32],
    /// The class of each row.
    pub truths: &'a [usize],
    /// The names of the classes.
    pub labels: &'a Labels,
}

impl NotableAnswers {
    /// The notable ones of these answers; `name` says what the image of a row is called.
    #[must_use]
    pub fn new(answers: &RankedAnswers<'_>, name: impl Fn(usize) -> String) -> Self {
        let NotableRows { mistakes, uncertain } = answers.notable();
        let answer = |row: usize| answers.answer(row, name(row));
        let [mistakes, uncertain] = [mistakes, uncertain].map(|rows| rows.into_iter().map(answer).collect());
        Self { mistakes, uncertain }
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

impl RankedAnswers<'_> {
    /// The rows that are worth a look.
    #[must_use]
    pub fn notable(&self) -> NotableRows {
        let (mut mistakes, mut margins) = (Vec::new(), Vec::new());
        for (row, &truth) in self.truths.iter().enumerate() {
            let scores = self.scores(row);
            let best = top_k(&scores, 2);
            if best[0] != truth {
                mistakes.push((-scores[best[0]], row));
            }
            margins.push((best.get(1).map_or(1.0, |&second| scores[best[0]] - scores[second]), row));
        }
        let [mistakes, uncertain] = [mistakes, margins].map(|mut keyed: Vec<(f32, usize)>| {
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            keyed.into_iter().take(NAMED).map(|(_, row)| row).collect()
        });
        NotableRows { mistakes, uncertain }
    }

    /// All rows where another class has a higher score than their own, those first whose own has the least: their labels may
    /// be wrong.
    #[must_use]
    pub fn doubtful(&self) -> Vec<usize> {
        let mut doubtful: Vec<(f32, usize)> = Vec::new();
        for (row, &truth) in self.truths.iter().enumerate() {
            let scores = self.scores(row);
            if top_k(&scores, 1)[0] != truth {
                doubtful.push((scores[truth], row));
            }
        }
        doubtful.sort_by(|a, b| a.0.total_cmp(&b.0));
        doubtful.into_iter().map(|(_, row)| row).collect()
    }

    /// The answer of a row, to the image of this name.
    #[must_use]
    pub fn answer(&self, row: usize, image: String) -> ImageAnswer {
        let (scores, truth) = (self.scores(row), self.truths[row]);
        let label = |class: usize| self.labels.get(class).unwrap_or_default().to_owned();
        let best = top_k(&scores, 1)[0];
        let (predicted, score) = (label(best), scores[best].into());
        ImageAnswer { image, truth: label(truth), predicted, score, truth_score: scores[truth].into(), picture: None }
    }

    fn scores(&self, row: usize) -> Vec<f32> {
        let classes = self.labels.len();
        softmax(&self.logits[row * classes..][..classes], 1.0)
    }
}
