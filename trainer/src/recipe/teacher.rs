//! A recipe's teacher: a trained classifier whose answers to the training images are learned beside their classes.

use std::path::Path;

use models::preprocess::{ImageBatch, decode};
use models::{Labels, Network, Preprocess};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{LoadOptions, Plan, RecipeError, TeacherError};
use crate::backend::{ComputeBackend, Executor, ExecutorSpec};
use crate::data::augment::View;
use crate::data::{BadFilePolicy, Checksum, DatasetError, Sample};
use crate::events::{Event, Observer, Phase};
use crate::finetune::features::{CacheKey, FeatureCache};
use crate::fit::{FitError, SoftTargets, TeacherAnswers};
use crate::identity::Identity;
use crate::options::{self, OptionError};

/// Who teaches, and how much it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherOptions {
    /// The stored model's name.
    pub model: String,
    /// The share of each target that is the teacher's answer, above 0 and up to 1; the rest is the class.
    #[serde(default = "half")]
    pub share: f32,
    /// What the teacher's logits are divided by: above 1, the classes that it thinks unlikely count more.
    #[serde(default = "one")]
    pub temperature: f32,
}

/// Images that are decoded and answered at a time.
const CHUNK: usize = 64;

fn half() -> f32 {
    0.5
}

fn one() -> f32 {
    1.0
}

impl TeacherOptions {
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        options::check(&[
            (self.share > 0.0 && self.share <= 1.0, "teacher.share", "above 0 and at most 1"),
            (
                self.temperature.is_finite() && self.temperature > 0.0,
                "teacher.temperature",
                "a positive number, usually 1 to 4",
            ),
        ])
    }
}

/// A teacher with the place where its answers are kept.
#[derive(Clone, Copy)]
pub struct Teacher<'a> {
    /// How it teaches.
    pub options: &'a TeacherOptions,
    /// A classifier of the images' classes and any others.
    pub network: &'a Network,
    /// The folder of its answers, so that a run that resumes does not ask again.
    pub cache: &'a Path,
    /// What computes them.
    pub backend: &'a ComputeBackend,
}

impl Plan {
    /// Asks a teacher about every training image as it is, without augmentation, and keeps the answers in its cache. An
    /// image that cannot be read and is left out gets equal probabilities; it never trains.
    ///
    /// # Errors
    /// [`RecipeError`] when the teacher lacks a class, or an image cannot be read and such are refused;
    /// [`FitError::Stopped`] when the observer asks for it.
    pub fn ask_teacher(&mut self, teacher: Teacher<'_>, observer: &mut dyn Observer) -> Result<(), RecipeError> {
        let mut session = TeacherSession::new(teacher, &self.labels, self.loading)?;
        let total = self.samples.len() as u64;
        let mut logits = Vec::with_capacity(self.samples.len() * session.classes.len());
        observer.event(Event::Phase { phase: Phase::Features });
        for chunk in self.samples.chunks(CHUNK) {
            logits.extend(session.answers(chunk)?);
            let done = (logits.len() / session.classes.len()) as u64;
            observer.event(Event::Progress { phase: Phase::Features, done, total });
            if observer.stopped() {
                return Err(FitError::Stopped.into());
            }
        }
        let TeacherOptions { share, temperature, .. } = *teacher.options;
        let answers = TeacherAnswers { share, temperature };
        self.soft_targets = Some(SoftTargets::of_logits(&logits, session.classes.len(), answers));
        Ok(())
    }
}

/// A teacher that answers.
struct TeacherSession<'a> {
    preprocess: &'a Preprocess,
    executor: Box<dyn Executor>,
    cache: FeatureCache,
    /// The number that the teacher has for each class.
    classes: Vec<usize>,
    loading: LoadOptions,
}

impl<'a> TeacherSession<'a> {
    fn new(teacher: Teacher<'a>, labels: &Labels, loading: LoadOptions) -> Result<Self, RecipeError> {
        let Teacher { options, network: Network { graph, params, spec }, cache, backend } = teacher;
        let classes = class_numbers(&options.model, spec.labels.as_ref(), labels)?;
        let identity = Identity::new("graft.teacher", 1)
            .with("graph", graph)
            .with("params", params.checksum())
            .with("preprocess", &spec.preprocess)
            .with("classes", &classes)
            .with("backend", backend.identity());
        let identity = identity.sha256().map_err(FitError::from)?;
        let cache = FeatureCache::open(cache, &identity, classes.len()).map_err(TeacherError::from)?;
        let executor = backend.open(&ExecutorSpec::frozen(graph, params)).map_err(FitError::from)?;
        Ok(Self { preprocess: &spec.preprocess, executor, cache, classes, loading })
    }

    /// The logits of the classes for these images, `[n, classes]`.
    fn answers(&mut self, samples: &[Sample]) -> Result<Vec<f32>, RecipeError> {
        let files: Vec<Option<TeacherImage<'_>>> =
            samples.par_iter().map(|sample| self.read(sample)).collect::<Result<_, _>>()?;
        let missing: Vec<&TeacherImage<'_>> =
            files.iter().flatten().filter(|file| self.cache.get(&file.key).is_none()).collect();
        let decoded = missing.par_iter().map(|file| {
            let input = self.preprocess.apply(&file.bytes, &self.loading.limits);
            input.map_err(|source| DatasetError::image(&file.sample.path, source))
        });
        let inputs = decoded.collect::<Result<Vec<_>, DatasetError>>()?;
        if !inputs.is_empty() {
            let batch = ImageBatch::stack(&inputs).map_err(TeacherError::from)?;
            let answers = self.executor.infer_batch(&batch).map_err(FitError::from)?;
            let keys: Vec<CacheKey> = missing.iter().map(|file| file.key).collect();
            for (key, row) in keys.iter().zip(answers.data().chunks(answers.data().len() / keys.len())) {
                let row: Vec<f32> = self.classes.iter().map(|&class| row[class]).collect();
                self.cache.insert(*key, &row);
            }
            self.cache.flush().map_err(TeacherError::from)?;
        }
        let equal = vec![0.0; self.classes.len()];
        let rows = files.iter().map(|file| file.as_ref().and_then(|file| self.cache.get(&file.key)).unwrap_or(&equal));
        Ok(rows.flatten().copied().collect())
    }

    /// A file that decodes, or nothing for one that is left out.
    fn read<'s>(&self, sample: &'s Sample) -> Result<Option<TeacherImage<'s>>, RecipeError> {
        let read = sample.read(&self.loading.limits).and_then(|bytes| {
            decode(&bytes, &self.loading.limits).map_err(|source| DatasetError::image(&sample.path, source))?;
            Ok(bytes)
        });
        match read {
            Ok(bytes) => {
                let key = CacheKey::new(&Checksum::of(&bytes), View::Plain).map_err(FitError::from)?;
                Ok(Some(TeacherImage { sample, key, bytes }))
            }
            Err(_) if self.loading.bad_files != BadFilePolicy::Refuse => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// An image file that a teacher is asked about.
struct TeacherImage<'s> {
    sample: &'s Sample,
    key: CacheKey,
    bytes: Vec<u8>,
}

/// The number that the teacher has for each of these classes.
fn class_numbers(model: &str, known: Option<&Labels>, classes: &Labels) -> Result<Vec<usize>, TeacherError> {
    let number = |class: &str| known.and_then(|known| known.names().iter().position(|label| label == class));
    let numbers: Vec<Option<usize>> = classes.names().iter().map(|class| number(class)).collect();
    let missing = numbers.iter().filter(|number| number.is_none()).count();
    match classes.names().iter().zip(&numbers).find(|(_, number)| number.is_none()) {
        None => Ok(numbers.into_iter().flatten().collect()),
        Some((class, _)) => {
            let (model, class) = (model.to_owned(), class.clone());
            Err(TeacherError::Classes { model, class, missing, classes: classes.len() })
        }
    }
}
