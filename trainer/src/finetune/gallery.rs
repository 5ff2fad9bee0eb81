//! Images that are worth a look: mistakes, uncertain answers, labels that may be wrong.

use models::preprocess::thumbnail;

use super::Task;
use super::extract::FeatureTable;
use super::outcome::Outcome;
use super::probe::OutOfFold;
use crate::data::ImageName;
use crate::metrics::{CellAnswers, CellRows, ImageAnswer, NotableAnswers, NotableRows, RankedAnswers};

/// The longer side of a picture, in pixels.
const SIDE: u32 = 192;

/// How many doubtful labels are named.
const SUSPECTS: usize = 24;

/// How many images of wrong cells of the confusion matrix get a picture: each takes the time to decode a file. Images of stored
/// data sets need none, since their data set has one.
const CELL_PICTURES: usize = 96;

/// A small picture of an image, beside the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// A plain file name, unique among a model's pictures.
    pub file_name: String,
    /// A JPEG file.
    pub bytes: Vec<u8>,
}

/// What is worth a look, with pictures.
#[derive(Debug, Default)]
pub(super) struct Gallery {
    pub(super) answers: NotableAnswers,
    /// Training images whose label the other training images speak against, the most doubtful first.
    pub(super) suspects: Vec<ImageAnswer>,
    pub(super) pictures: Vec<Picture>,
}

/// The notable test images, and training images that heads without them take for another class.
pub(super) fn gallery(task: &Task<'_>, table: &FeatureTable<'_>, outcome: &Outcome) -> Gallery {
    let labels = &table.preparation.dataset.labels;
    let mut painter = Painter { task, table, pictures: vec![] };
    let test = &table.split.test;
    let (numbers, thresholds) = (table.numbers(test), outcome.network.spec.scores.thresholds.as_deref());
    let ranked = RankedAnswers { logits: &outcome.result().logits, truths: table.truths(&numbers), labels, thresholds };
    let NotableRows { mistakes, uncertain } = ranked.notable();
    let NotableAnswers { mistakes: wrong, uncertain: close, cells } =
        NotableAnswers::new(&ranked, |at| painter.name(test[at]));
    let answers = NotableAnswers {
        mistakes: painter.pictured(wrong, mistakes.iter().map(|&at| test[at])),
        uncertain: painter.pictured(close, uncertain.iter().map(|&at| test[at])),
        cells: painter.cells(cells, ranked.cells(), test),
    };
    let suspects = match &outcome.out_of_fold {
        None => vec![],
        Some(OutOfFold { images, logits }) => {
            let rows: Vec<usize> = images.iter().map(|&image| table.split.train[image]).collect();
            let numbers = table.numbers(&rows);
            let ranked = RankedAnswers { logits, truths: table.truths(&numbers), labels, thresholds };
            let mut doubtful = ranked.doubtful();
            doubtful.truncate(SUSPECTS);
            let answers = doubtful.iter().map(|&at| ranked.answer(at, painter.name(rows[at]))).collect();
            painter.pictured(answers, doubtful.iter().map(|&at| rows[at]))
        }
    };
    Gallery { answers, suspects, pictures: painter.pictures }
}

/// Makes pictures, one for each image.
struct Painter<'a> {
    task: &'a Task<'a>,
    table: &'a FeatureTable<'a>,
    pictures: Vec<Picture>,
}

impl Painter<'_> {
    fn name(&self, row: usize) -> ImageName {
        self.table.samples[row].sample.named_below(self.task.source.path())
    }

    /// Cells with pictures of their images, as far as they are wrong and no data set has a picture.
    fn cells(&mut self, cells: Vec<CellAnswers>, rows: Vec<CellRows>, test: &[usize]) -> Vec<CellAnswers> {
        let mut room = CELL_PICTURES;
        let painted = |(cell, CellRows { rows, .. }): (CellAnswers, CellRows)| {
            if cell.truth == cell.predicted
                || cell.images.len() > room
                || cell.images.iter().all(|image| image.id.is_some())
            {
                return cell;
            }
            room -= cell.images.len();
            CellAnswers { images: self.pictured(cell.images, rows.iter().map(|&at| test[at])), ..cell }
        };
        cells.into_iter().zip(rows).map(painted).collect()
    }

    /// The answers with the pictures of their images. One that cannot be made is missing.
    fn pictured(&mut self, answers: Vec<ImageAnswer>, rows: impl Iterator<Item = usize>) -> Vec<ImageAnswer> {
        let limits = self.task.options.limits();
        let mut picture = |row: usize| {
            let file_name = format!("{row}.jpg");
            if self.pictures.iter().all(|picture| picture.file_name != file_name) {
                let file = self.table.samples[row].sample.read(&limits).ok()?;
                let bytes = thumbnail(&file, SIDE, &limits).ok()?;
                self.pictures.push(Picture { file_name: file_name.clone(), bytes });
            }
            Some(file_name)
        };
        answers.into_iter().zip(rows).map(|(answer, row)| ImageAnswer { picture: picture(row), ..answer }).collect()
    }
}
