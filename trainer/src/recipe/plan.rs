//! A recipe and a data set together.

use std::num::NonZeroUsize;
use std::sync::Arc;

use models::preprocess::Limits;
use models::{Graph, Labels, Network, Params, Preprocess, zoo};

use super::base::{GraftedBase, HeadFirst};
use super::{InputOptions, InputValues, Recipe, RecipeError, ScheduleUnit, SubsetPolicy, ValidationSource};
use crate::backend::Parameter;
use crate::data::augment::{Augmentation, Statistics};
use crate::data::loader::{Loader, PixelValues, Resources, TransformSpec};
use crate::data::{
    BadFilePolicy, Counts, Dataset, DatasetSummary, Fractions, Partition, Sample, SnapshotId, Split, Subset,
};
use crate::finetune::FinetuneStrategy;
use crate::fit::{FitOptions, ImageExamples, SoftTargets};
use crate::options::OptionError;

/// A recipe and a data set together: everything that a run needs.
pub struct Plan {
    /// From levels `0..=255` to logits.
    pub graph: Graph,
    /// Its first weights.
    pub params: Params,
    /// What kind of network it is, for the record: the recipe's, or that of the base.
    pub architecture: String,
    /// How images are prepared.
    pub preprocess: Preprocess,
    /// How it is trained; every count of the schedule is of steps.
    pub options: FitOptions,
    /// The class names.
    pub labels: Labels,
    /// The snapshot of a stored data set that the images are.
    pub snapshot: Option<SnapshotId>,
    /// Which of its parameters are trained.
    pub trains: Box<dyn Fn(&Parameter) -> bool>,
    /// The images to train on.
    pub training: ImageExamples,
    /// The images that choose the best epoch, if the recipe wants any.
    pub validation: Option<ImageExamples>,
    /// The images that measure the result, if the data set has a test subset.
    pub test: Option<ImageExamples>,
    /// What the teacher answers to the images to train on, once [`Plan::ask_teacher`] has asked it.
    pub soft_targets: Option<SoftTargets>,
    /// How many images and steps there are.
    pub counts: PlanCounts,
    /// The training images.
    pub(super) samples: Arc<[Sample]>,
    pub(super) loading: LoadOptions,
    pub(super) head_first: Option<HeadFirst>,
}

/// How many images and steps there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanCounts {
    /// Images to train on.
    pub training: usize,
    /// Images that choose the best epoch.
    pub validation: usize,
    /// Images that measure the result.
    pub test: usize,
    /// How often the weights change in an epoch, at least once.
    pub steps_per_epoch: u64,
    /// Steps of the run.
    pub steps: u64,
}

/// How images are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads that decode and augment.
    pub threads: NonZeroUsize,
    /// What to do with an image that cannot be read.
    pub bad_files: BadFilePolicy,
    /// How large an image may be.
    pub limits: Limits,
}

/// The network to train.
#[derive(Clone, Copy)]
enum Subject<'a> {
    /// The recipe's network, from the beginning.
    Fresh,
    /// A network that has been trained, whose head is new.
    Grafted(&'a Network),
}

impl Subject<'_> {
    fn architecture(self, recipe: &Recipe) -> String {
        match self {
            Subject::Fresh => recipe.network.clone().unwrap_or_default(),
            Subject::Grafted(base) => base.spec.architecture.clone(),
        }
    }
}

impl Plan {
    /// Divides the images, measures them where the recipe wants it, and draws the first weights.
    ///
    /// # Errors
    /// [`RecipeError`] when the recipe is for a pretrained network, or does not fit the data set.
    pub fn new(recipe: &Recipe, dataset: Dataset, loading: LoadOptions) -> Result<Self, RecipeError> {
        if let Some(base) = &recipe.base {
            return Err(RecipeError::Base { base: base.clone() });
        }
        Self::of(recipe, Subject::Fresh, dataset, loading)
    }

    /// The same on a pretrained network with a new head, whose images are prepared as it is used to.
    ///
    /// # Errors
    /// [`RecipeError`] when the network cannot be given a head, or the recipe does not fit the data set.
    pub fn grafted(
        recipe: &Recipe,
        base: &Network,
        dataset: Dataset,
        loading: LoadOptions,
    ) -> Result<Self, RecipeError> {
        Self::of(recipe, Subject::Grafted(base), dataset, loading)
    }

    /// How the images were understood, and how the recipe divides them.
    ///
    /// # Errors
    /// [`RecipeError`] when the recipe cannot divide them.
    pub fn summary(recipe: &Recipe, dataset: &Dataset) -> Result<DatasetSummary, RecipeError> {
        let split = match recipe.subsets {
            SubsetPolicy::Given => divide(recipe, dataset)?,
            SubsetPolicy::Ignored => divide(recipe, &dataset.clone().without_subsets())?,
        };
        Ok(DatasetSummary::new(dataset, &split))
    }

    fn of(recipe: &Recipe, subject: Subject<'_>, dataset: Dataset, loading: LoadOptions) -> Result<Self, RecipeError> {
        recipe.validate()?;
        let dataset = if recipe.subsets == SubsetPolicy::Ignored { dataset.without_subsets() } else { dataset };
        let split = divide(recipe, &dataset)?;
        let samples = |part: &[usize]| part.iter().map(|&index| dataset.samples[index].clone()).collect::<Arc<[_]>>();
        let [training, validation, test] = [&split.train, &split.validation, &split.test].map(|part| samples(part));

        let classes = dataset.labels.len();
        let (mut trained, mut head) = (None, None);
        let (graph, params, preprocess) = match subject {
            Subject::Fresh => fresh(recipe, &training, classes, loading)?,
            Subject::Grafted(base) => {
                let base = GraftedBase::new(recipe, base, classes)?;
                (trained, head) = (Some(base.trained), Some(base.head));
                (base.graph, base.params, base.preprocess)
            }
        };
        let mut options = recipe.training.clone();
        let steps_per_epoch = options.steps_per_epoch(training.len());
        if recipe.schedule_unit == ScheduleUnit::Epochs {
            options.schedule = options.schedule.in_steps(steps_per_epoch);
        }
        if let Some(steps) = options.steps {
            options.epochs = steps.div_ceil(steps_per_epoch);
        }
        let steps = options.steps.unwrap_or(options.epochs.saturating_mul(steps_per_epoch));
        let [train, val, tested] = [&training, &validation, &test].map(|samples| samples.len());
        let counts = PlanCounts { training: train, validation: val, test: tested, steps_per_epoch, steps };
        let loader = LoaderSpec { preprocess: &preprocess, options: &options, loading };
        let images = |samples: &Arc<[Sample]>, augmentation| loader.images(samples, augmentation);
        let plain = |samples: &Arc<[Sample]>| {
            (!samples.is_empty()).then(|| images(samples, Augmentation::default())).transpose()
        };
        let head = head.filter(|_| recipe.strategy == Some(FinetuneStrategy::Staged));
        let head_first = match head {
            Some(nodes) => Some(HeadFirst { nodes, images: images(&training, Augmentation::default())? }),
            None => None,
        };
        Ok(Self {
            trains: Box::new(move |parameter| trained.as_ref().is_none_or(|names| names.contains(&parameter.name))),
            head_first,
            params,
            training: images(&training, recipe.augmentation.clone())?,
            validation: plain(&validation)?,
            test: plain(&test)?,
            soft_targets: None,
            loading,
            labels: dataset.labels.clone(),
            snapshot: dataset.snapshot.clone(),
            samples: training,
            counts,
            architecture: subject.architecture(recipe),
            graph,
            preprocess,
            options,
        })
    }
}

/// How the images of all subsets are loaded.
struct LoaderSpec<'a> {
    preprocess: &'a Preprocess,
    options: &'a FitOptions,
    loading: LoadOptions,
}

impl LoaderSpec<'_> {
    fn images(&self, samples: &Arc<[Sample]>, augmentation: Augmentation) -> Result<ImageExamples, RecipeError> {
        let transform = TransformSpec {
            preprocess: self.preprocess.clone(),
            augmentation,
            values: PixelValues::Levels,
            seed: self.options.seed,
        };
        let LoadOptions { threads, bad_files, limits } = self.loading;
        let resources = Resources { threads, bad_files, limits, ..Resources::default() };
        let classes = samples.iter().map(|sample| sample.class).collect();
        Ok(ImageExamples::new(Loader::new(samples.clone(), transform, resources)?, classes))
    }
}

/// The recipe's network with its first weights.
fn fresh(
    recipe: &Recipe,
    training: &[Sample],
    classes: usize,
    loading: LoadOptions,
) -> Result<(Graph, Params, Preprocess), RecipeError> {
    let name = recipe.network.as_deref().unwrap_or_default();
    let row = zoo::find(name).ok_or_else(|| RecipeError::network(name))?;
    let wanted = "given where a `network` is trained";
    let input = recipe.input.as_ref().ok_or(OptionError { option: "input", wanted })?;
    let preprocess = input.preprocess(measured(input, training, loading)?);
    let size = input.size.map(|side| side as usize);
    let graph = row.graph(size, classes)?.normalized(&preprocess.normalize())?;
    let params = recipe.initialization.params(&graph, recipe.training.seed);
    Ok((graph, params, preprocess))
}

/// Which images are for what.
fn divide(recipe: &Recipe, dataset: &Dataset) -> Result<Split, RecipeError> {
    if dataset.is_multi_label() {
        return Err(RecipeError::MultiLabel);
    }
    let all = || 0..dataset.samples.len();
    let is_test = |&index: &usize| dataset.samples[index].subset == Some(Subset::Test);
    let (train, given): (Vec<usize>, Vec<usize>) = all().partition(|index| !is_test(index));
    let partition = match recipe.validation {
        ValidationSource::None => return Ok(Split { train, validation: vec![], test: given }),
        ValidationSource::Test if given.is_empty() => return Err(RecipeError::NoTestPart),
        ValidationSource::Test => return Ok(Split { train, validation: given, test: vec![] }),
        ValidationSource::Share(validation) => Partition::Fractions(Fractions { validation, test: 0.0 }),
        ValidationSource::PerClass(validation) => {
            let given = dataset.samples.iter().any(|sample| sample.subset == Some(Subset::Validation));
            enough(dataset, if given { 0 } else { validation })?;
            Partition::Counts(Counts { validation, test: 0 })
        }
    };
    let mut split = dataset.split(partition, recipe.training.seed);
    if given.is_empty() {
        split.train.append(&mut split.test);
    }
    split.train.sort_unstable();
    Ok(split)
}

/// Whether every class keeps as many images to train on as it gives to validate.
fn enough(dataset: &Dataset, validation: usize) -> Result<(), RecipeError> {
    let mut counts = vec![0; dataset.labels.len()];
    let trains = dataset.samples.iter().filter(|sample| sample.subset != Some(Subset::Test));
    trains.for_each(|sample| counts[sample.class] += 1);
    match counts.iter().position(|&count| count < 2 * validation) {
        Some(class) => {
            let (class, images) = (dataset.labels.get(class).unwrap_or_default().to_owned(), counts[class]);
            Err(RecipeError::Validation { class, images, validation })
        }
        None => Ok(()),
    }
}

/// What the preprocessing has to know of the training images.
fn measured(input: &InputOptions, samples: &[Sample], loading: LoadOptions) -> Result<[f32; 3], RecipeError> {
    if !matches!(input.values, InputValues::ZeroCenter | InputValues::ZeroCenterPerChannel) {
        return Ok([0.0; 3]);
    }
    let found = Statistics::of(samples, &input.preprocess([0.0; 3]), loading.bad_files, &loading.limits)?;
    let mean = match (found, input.values) {
        (None, _) => [0.0; 3],
        (Some(found), InputValues::ZeroCenter) => [found.overall_mean; 3],
        (Some(found), _) => found.mean,
    };
    Ok(mean.map(|mean| mean as f32))
}
