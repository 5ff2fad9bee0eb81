//! Stage 2: the features of every image, computed once by the frozen part.

use std::path::Path;
use std::time::Instant;

use models::preprocess::{ImageBatch, PreparedImage, RgbImage};
use rayon::prelude::*;

use super::features::{CacheKey, FeatureCache};
use super::forecast;
use super::head::LabeledFeatures;
use super::image::{ImageFile, decode_view, pixels};
use super::prepare::Preparation;
use super::stage::{BadFiles, Progress};
use super::{FinetuneError, Task};
use crate::backend::Executor;
use crate::data::augment::{View, views};
use crate::data::{BadFile, DatasetError, LabelSets, Sample, Split, check_classes};
use crate::events::{Observer, Phase};
use crate::metrics::Truths;

/// Images decoded at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;
/// Images in one run of the engine.
const BATCH: usize = 8;

/// The features of all images that decode, a row each.
pub(super) struct FeatureTable<'a> {
    pub(super) preparation: &'a Preparation,
    /// The image of each row.
    pub(super) samples: Vec<&'a ImageFile>,
    /// For each view of the images, all rows; the plain view first.
    pub(super) views: Vec<LabeledFeatures>,
    /// Which rows train, choose the epoch and measure.
    pub(super) split: Split,
    /// What each class counts in training.
    pub(super) class_weights: Option<Vec<f32>>,
    /// How many rows were in the cache.
    pub(super) cached: usize,
}

impl FeatureTable<'_> {
    /// The plain view of these rows.
    pub(super) fn plain(&self, rows: &[usize]) -> LabeledFeatures {
        self.views[0].rows(rows)
    }

    /// The classes of these rows, or the numbers of their sets.
    pub(super) fn numbers(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.samples[row].sample.class).collect()
    }

    /// What images show whose classes, or the numbers of their sets, these are.
    pub(super) fn truths<'t>(&'t self, numbers: &'t [usize]) -> Truths<'t> {
        Truths { numbers, classes: self.preparation.dataset.labels.len(), sets: self.sets() }
    }

    /// The sets of classes, where an image may have several.
    pub(super) fn sets(&self) -> Option<&LabelSets> {
        self.preparation.dataset.label_sets.as_ref()
    }

    /// All views of the rows that train.
    pub(super) fn training(&self) -> LabeledFeatures {
        LabeledFeatures::concat(self.views.iter().map(|view| view.rows(&self.split.train)))
    }
}

/// The features of every view of every image, computed by the serving engine or taken from the cache, and the split of the
/// images that decode.
pub(super) fn extract<'a>(
    task: &Task<'_>,
    preparation: &'a Preparation,
    observer: &mut dyn Observer,
) -> Result<FeatureTable<'a>, FinetuneError> {
    let Preparation { features, images, dataset, .. } = preparation;
    let width = features.shape().len();
    let identity = task.base.features_identity(&preparation.prefix, task.engine)?;
    let mut cache = FeatureCache::open(&task.folders.features, &identity, width)?;
    let views = views(task.options.views);
    let total = images.len() * views.len();
    let mut rows = Vec::new();
    for &view in &views {
        for image in images {
            let key = CacheKey::new(&image.checksum, view)?;
            if cache.get(&key).is_none() {
                rows.push(MissingRow { image, view, key });
            }
        }
    }
    let missing = Missing { prefix: &preparation.prefix, rows, total };
    let cached = total - missing.rows.len();
    forecast::announce(task, preparation, missing.rows.len(), observer)?;
    Progress { phase: Phase::Features, done: cached, total }.report(observer)?;
    compute(task, &missing, &mut cache, observer)?;
    let (samples, views) = collect(images, &views, &cache)?;
    check_finite(&samples, &views[0])?;
    let listed = || samples.iter().map(|image| &image.sample);
    check_classes(dataset, listed())?;
    let split = task.options.split(dataset, listed());
    let training: Vec<usize> = split.train.iter().map(|&row| samples[row].sample.class).collect();
    let class_weights = task.options.class_weights.resolve(&dataset.labels, &training, dataset.label_sets.as_ref())?;
    Ok(FeatureTable { preparation, samples, split, class_weights, cached: cached / views.len(), views })
}

/// How many rows of features are not in the cache.
pub(super) fn missing(task: &Task<'_>, preparation: &Preparation) -> Result<usize, FinetuneError> {
    let identity = task.base.features_identity(&preparation.prefix, task.engine)?;
    let cache = FeatureCache::open(&task.folders.features, &identity, preparation.features.shape().len())?;
    let mut missing = 0;
    for view in views(task.options.views) {
        for image in &preparation.images {
            missing += usize::from(cache.get(&CacheKey::new(&image.checksum, view)?).is_none());
        }
    }
    Ok(missing)
}

/// How long a row takes, measured on images from all over the data set. `None` where none of them can be read.
pub(super) fn row_seconds(task: &Task<'_>, preparation: &Preparation) -> Result<Option<f64>, FinetuneError> {
    let mut engine = task.engine.open(&preparation.prefix)?;
    let apart = (preparation.images.len() / (3 * BATCH)).max(1);
    let images: Vec<&ImageFile> = preparation.images.iter().step_by(apart).take(3 * BATCH).collect();
    let mut fastest = None;
    for chunk in images.chunks(BATCH) {
        let clock = Instant::now();
        let inputs = chunk.par_iter().filter_map(|image| decode_view(task, &image.sample, View::Plain).ok());
        let inputs: Vec<PreparedImage> = inputs.collect();
        if inputs.is_empty() {
            continue;
        }
        let batch = ImageBatch::stack(&inputs).map_err(|error| onnx::EngineError::Run(error.to_string()))?;
        engine.run(&batch)?;
        let seconds = clock.elapsed().as_secs_f64() / inputs.len() as f64;
        // The first run also makes plans, and another program may hold up any of them.
        fastest = Some(fastest.map_or(seconds, |fastest: f64| fastest.min(seconds)));
    }
    Ok(fastest)
}

/// What is still to be computed.
struct Missing<'a> {
    prefix: &'a [u8],
    rows: Vec<MissingRow<'a>>,
    /// Rows of all views, cached ones included.
    total: usize,
}

/// A view of an image that the cache does not have.
struct MissingRow<'a> {
    image: &'a ImageFile,
    view: View,
    key: CacheKey,
}

/// Computes missing features with the serving engine and writes them to the cache after each chunk.
fn compute<'a>(
    task: &Task<'_>,
    missing: &Missing<'a>,
    cache: &mut FeatureCache,
    observer: &mut dyn Observer,
) -> Result<(), FinetuneError> {
    if missing.rows.is_empty() {
        return Ok(());
    }
    let mut done = missing.total - missing.rows.len();
    let mut engine = task.engine.open(missing.prefix)?;
    let mut bad = BadFiles::new(task.options.bad_files);
    for chunk in missing.rows.chunks(CHUNK) {
        let decode = |row: &MissingRow<'a>| {
            let sample = &row.image.sample;
            let input = decode_view(task, sample, row.view).map_err(|error| (sample.path.as_path(), error))?;
            Ok((row.key, input))
        };
        let mut inputs = Vec::new();
        for result in chunk.par_iter().map(decode).collect::<Vec<Result<_, (&Path, DatasetError)>>>() {
            match result {
                Ok(input) => inputs.push(input),
                Err((path, error)) => bad.add(BadFile::new(path, &error), observer),
            }
        }
        if bad.are_refused() {
            // The run ends: what remains is decoded to name every bad file, and not computed.
            inputs.clear();
        }
        for batch in inputs.chunks(BATCH) {
            let (keys, images): (Vec<CacheKey>, Vec<PreparedImage>) = batch.iter().cloned().unzip();
            let batch = ImageBatch::stack(&images).map_err(|error| onnx::EngineError::Run(error.to_string()))?;
            let outputs = engine.run(&batch)?;
            let rows = outputs.first()?.data().chunks(cache.width());
            keys.into_iter().zip(rows).for_each(|(key, row)| cache.insert(key, row));
        }
        cache.flush()?;
        done += chunk.len();
        Progress { phase: Phase::Features, done, total: missing.total }.report(observer)?;
    }
    Ok(bad.refuse()?)
}

/// The images that have features of all views, and those features by view.
fn collect<'a>(
    images: &'a [ImageFile],
    views: &[View],
    cache: &FeatureCache,
) -> Result<(Vec<&'a ImageFile>, Vec<LabeledFeatures>), FinetuneError> {
    let mut samples = Vec::new();
    let mut table = vec![LabeledFeatures::default(); views.len()];
    for image in images {
        let keys = views.iter().map(|&view| CacheKey::new(&image.checksum, view)).collect::<Result<Vec<_>, _>>()?;
        let Some(rows) = keys.iter().map(|key| cache.get(key)).collect::<Option<Vec<_>>>() else { continue };
        samples.push(image);
        for (features, row) in table.iter_mut().zip(rows) {
            features.features.extend(row);
            features.classes.push(image.sample.class);
        }
    }
    Ok((samples, table))
}

/// Whether all features are numbers: a head trained on others is none.
fn check_finite(samples: &[&ImageFile], features: &LabeledFeatures) -> Result<(), FinetuneError> {
    let rows = features.features.chunks(features.width().max(1)).zip(samples);
    let mut wrong = rows.filter(|(row, _)| row.iter().any(|number| !number.is_finite()));
    let Some((_, first)) = wrong.next() else { return Ok(()) };
    let image = first.sample.path.display().to_string();
    Err(FinetuneError::Features { count: 1 + wrong.count(), images: samples.len(), image })
}

/// The feature maps that a network makes of a view of images: `[n, h, w, c]`.
pub(super) fn maps(
    task: &Task<'_>,
    network: &dyn Executor,
    samples: &[&Sample],
    view: View,
) -> Result<Vec<f32>, FinetuneError> {
    let mut maps = Vec::with_capacity(samples.len() * network.outputs());
    for chunk in samples.chunks(BATCH) {
        let pixels = chunk.par_iter().map(|sample| pixels(task, sample, view).map(RgbImage::into_data));
        let levels: Vec<f32> = pixels.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().map(f32::from).collect();
        maps.extend(network.infer_nhwc(&levels)?);
    }
    Ok(maps)
}
