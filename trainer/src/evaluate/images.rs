//! The images that a model is evaluated on, with the numbers that their classes have in the model.

use models::Labels;
use models::scores::ScoreKind;
use models::spec::TrainingRecord;
use rayon::prelude::*;

use super::classes::{UnknownClass, matches};
use super::{EvaluateError, EvaluateTask, EvaluatedSubset};
use crate::data::{
    BadFile, BadFilePolicy, Checksum, Dataset, DatasetError, DatasetSource, DatasetSummary, LabelSets, OpenOptions,
    Sample, Split, Subset, checksum,
};
use crate::events::{Event, Observer, Phase};
use crate::finetune::FinetuneOptions;

/// Files read at a time.
const CHUNK: usize = 64;

/// Images with their classes.
pub(crate) struct LabeledImages {
    /// Each with the number of its class in the model, or of its set of them.
    pub(crate) samples: Vec<(Sample, usize)>,
    /// The sets of the model's classes, where those stand beside each other.
    pub(crate) sets: Option<LabelSets>,
    /// How the data set was understood.
    pub(super) summary: DatasetSummary,
    /// Which images they are; never `auto`.
    pub(crate) subset: EvaluatedSubset,
    /// Classes that the model does not know.
    pub(super) unknown: Vec<UnknownClass>,
    /// How many images show none but those, and are left out.
    pub(super) left_out: usize,
    /// Files that cannot be used, as far as their headers tell.
    pub(super) unusable: usize,
}

impl LabeledImages {
    /// Lists the data set, reads every file, takes the subset, and says what is left out.
    pub(super) fn of(
        task: &EvaluateTask<'_>,
        known: &Labels,
        observer: &mut dyn Observer,
    ) -> Result<Self, EvaluateError> {
        let dataset = MatchedDataset::read(task, known, observer)?;
        let images = dataset.subset(task.options.subset)?;
        if let (EvaluatedSubset::All, Some(message)) = (images.subset, dataset.trained_on_warning()) {
            observer.event(Event::Warning { message });
        }
        for class in &images.unknown {
            let message = match dataset.dataset.is_multi_label() {
                true => format!("{}; images that show other classes too are kept", class.warning()),
                false => class.warning(),
            };
            observer.event(Event::Warning { message });
        }
        observer.event(Event::Dataset { summary: Box::new(images.summary.clone()) });
        if images.samples.is_empty() { Err(EvaluateError::NoImages) } else { Ok(images) }
    }
}

/// A data set whose files were read, with its classes matched to a model's.
pub(crate) struct MatchedDataset<'a> {
    dataset: Dataset,
    known: &'a Labels,
    /// The number of each of its classes in the model.
    numbers: Vec<Option<usize>>,
    sets: Option<LabelSets>,
    read: ReadImages,
    trained_on: Option<Split>,
}

impl<'a> MatchedDataset<'a> {
    /// Lists the data set and reads every file.
    pub(crate) fn read(
        task: &EvaluateTask<'_>,
        known: &'a Labels,
        observer: &mut dyn Observer,
    ) -> Result<Self, EvaluateError> {
        let dataset = list(task, known)?;
        let independent = task.spec.scores.kind == ScoreKind::Sigmoid;
        if dataset.is_multi_label() && !independent {
            return Err(EvaluateError::MultiLabel(task.model.to_owned()));
        }
        let numbers = matches(&dataset.labels, known)?;
        let sets = match &dataset.label_sets {
            Some(sets) => Some(sets.renumbered(&numbers, known.len())),
            None => independent.then(|| LabelSets::singletons(known.len())),
        };
        let read = read(task, &dataset, observer)?;
        let trained_on = split_of_training(task.spec.training.as_ref(), &dataset, &read.samples, &read.checksums);
        Ok(Self { dataset, known, numbers, sets, read, trained_on })
    }

    /// The images of a subset that the model has classes for.
    pub(crate) fn subset(&self, asked: EvaluatedSubset) -> Result<LabeledImages, EvaluateError> {
        let Self { dataset, known, numbers, sets, read, trained_on } = self;
        let chosen = choose(asked, &read.samples, trained_on.as_ref())?;
        let mut counts = vec![0; dataset.labels.len()];
        let mut labeled = Vec::new();
        for &row in &chosen.rows {
            let (sample, classes) = (&read.samples[row], dataset.classes_of(&read.samples[row]));
            classes.iter().for_each(|&class| counts[class] += 1);
            // An image of no class is one that shows none of the model's either.
            let known = classes.is_empty() || classes.iter().any(|&class| numbers[class].is_some());
            let number = if dataset.is_multi_label() { Some(sample.class) } else { numbers[sample.class] };
            labeled.extend(number.filter(|_| known).map(|number| (sample.clone(), number)));
        }
        let classes = dataset.labels.names().iter().zip(numbers).zip(&counts);
        let unknown = classes
            .filter(|((_, number), count)| number.is_none() && **count > 0)
            .map(|((name, _), &count)| UnknownClass::new(name, count, known))
            .collect();
        let everything = Split { test: (0..dataset.samples.len()).collect(), ..Split::default() };
        Ok(LabeledImages {
            left_out: chosen.rows.len() - labeled.len(),
            samples: labeled,
            sets: sets.clone(),
            summary: DatasetSummary::new(dataset, &everything),
            subset: chosen.subset,
            unknown,
            unusable: read.unusable,
        })
    }

    /// What to say when the images are measured that the model was trained on, if it was.
    pub(crate) fn trained_on_warning(&self) -> Option<String> {
        let (split, images) = (self.trained_on.as_ref()?, self.read.samples.len());
        Some(format!(
            "the model was trained on {} of these {images} images, so the result is too good; `test` as subset measures the {} \
             that it has not seen",
            images - split.test.len(),
            split.test.len()
        ))
    }
}

/// The images at the path. A folder with pictures of a single class is no data set to train on; to evaluate on, it is one if
/// it is called as a class of the model.
fn list(task: &EvaluateTask<'_>, known: &Labels) -> Result<Dataset, EvaluateError> {
    let options = OpenOptions { archives: Some(task.archives), access: task.access, ..OpenOptions::default() };
    match task.source.list_in(&options) {
        Err(DatasetError::Classes { path, .. }) if task.source.classes.is_empty() => {
            let read = |source| DatasetError::read(task.source.path(), source);
            let entries = task.access.entries(task.source.path()).map_err(read)?;
            let names = entries.iter().filter_map(|entry| entry.name.to_str());
            let classes = names.filter(|name| known.names().iter().any(|class| class == name)).map(str::to_owned);
            let source = DatasetSource { classes: classes.collect(), ..task.source.clone() };
            if source.classes.is_empty() {
                return Err(EvaluateError::unlabeled(path, known));
            }
            Ok(source.list_in(&options)?)
        }
        listing => Ok(listing?),
    }
}

/// The images whose headers can be read.
struct ReadImages {
    samples: Vec<Sample>,
    checksums: Vec<Checksum>,
    unusable: usize,
}

fn read(task: &EvaluateTask<'_>, dataset: &Dataset, observer: &mut dyn Observer) -> Result<ReadImages, EvaluateError> {
    let (limits, total) = (task.options.limits(), dataset.samples.len());
    let (mut samples, mut checksums, mut bad) = (vec![], vec![], dataset.account.faults().to_vec());
    for (number, chunk) in dataset.samples.chunks(CHUNK).enumerate() {
        if observer.stopped() {
            return Err(EvaluateError::Stopped);
        }
        let look = |sample: &Sample| sample.read(&limits).map(|bytes| Checksum::of(&bytes));
        let read: Vec<_> = chunk.par_iter().map(look).collect();
        for (sample, checksum) in chunk.iter().zip(read) {
            match checksum {
                Ok(checksum) => {
                    samples.push(sample.clone());
                    checksums.push(checksum);
                }
                Err(error) => bad.push(BadFile::new(&sample.path, &error)),
            }
        }
        let done = (number * CHUNK + chunk.len()) as u64;
        observer.event(Event::Progress { phase: Phase::Data, done, total: total as u64 });
    }
    if task.options.bad_files == BadFilePolicy::Refuse && !bad.is_empty() {
        return Err(DatasetError::BadFiles { files: bad }.into());
    }
    for file in &bad {
        observer.event(Event::Warning { message: format!("left out: {}", file.reason) });
    }
    Ok(ReadImages { samples, checksums, unusable: bad.len() })
}

/// How these images were split when the model was trained on them; `None` if it was trained on others.
fn split_of_training(
    record: Option<&TrainingRecord>,
    dataset: &Dataset,
    samples: &[Sample],
    checksums: &[Checksum],
) -> Option<Split> {
    let record = record?;
    let images = checksums.iter().zip(samples.iter().map(|sample| dataset.labels_of(sample)));
    if record.dataset_sha256 != checksum(images) {
        return None;
    }
    let options: FinetuneOptions = serde_json::from_value(record.options.clone()).ok()?;
    Some(options.split(dataset, samples))
}

/// Rows of images, and which they are.
struct ChosenImages {
    subset: EvaluatedSubset,
    rows: Vec<usize>,
}

fn choose(
    asked: EvaluatedSubset,
    samples: &[Sample],
    trained_on: Option<&Split>,
) -> Result<ChosenImages, EvaluateError> {
    let given = |subset: Subset| -> Vec<usize> {
        (0..samples.len()).filter(|&row| samples[row].subset == Some(subset)).collect()
    };
    let rows = |subset: Subset| {
        let drawn = trained_on.map(|split| match subset {
            Subset::Train => split.train.clone(),
            Subset::Validation => split.validation.clone(),
            Subset::Test => split.test.clone(),
        });
        let rows = drawn.unwrap_or_else(|| given(subset));
        if rows.is_empty() { Err(EvaluateError::NoSubset(subset.name())) } else { Ok(rows) }
    };
    let (subset, rows) = match asked {
        EvaluatedSubset::Auto if !given(Subset::Test).is_empty() => (EvaluatedSubset::Test, given(Subset::Test)),
        EvaluatedSubset::Auto | EvaluatedSubset::All => (EvaluatedSubset::All, (0..samples.len()).collect()),
        EvaluatedSubset::Train => (asked, rows(Subset::Train)?),
        EvaluatedSubset::Validation => (asked, rows(Subset::Validation)?),
        EvaluatedSubset::Test => (asked, rows(Subset::Test)?),
    };
    Ok(ChosenImages { subset, rows })
}
