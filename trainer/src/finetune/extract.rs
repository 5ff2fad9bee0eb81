//! The frozen part, once per image.

use models::preprocess::{ImageBatch, Limits, PreparedImage, RgbImage};
use rayon::prelude::*;

use super::{FinetuneError, Task};
use crate::backend::CpuExecutor;
use crate::data::augment::{AugmentError, View, views};
use crate::data::{BadFile, BadFilePolicy, Checksum, Dataset, DatasetError, Sample, duplicates};
use crate::events::{Event, Observer, Phase};
use crate::finetune::features::FeatureCache;
use crate::finetune::head::Examples;

/// Images decoded at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;
/// Images in one run of the engine.
const BATCH: usize = 8;

/// An image file that can be read.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) sample: Sample,
    pub(super) checksum: Checksum,
}

/// Features of the images that decode.
pub(super) struct Extracted {
    /// For each look at an image, the plain one first.
    pub(super) looks: Vec<Examples>,
    /// Which image each row is of.
    pub(super) samples: Vec<usize>,
    /// How many rows were in the cache.
    pub(super) cached: usize,
}

/// Reads every file and its header, so that a bad one is named before any work is done on the good ones.
pub(super) fn check(
    dataset: &Dataset,
    bad_files: BadFilePolicy,
    observer: &mut dyn Observer,
) -> Result<Vec<Image>, FinetuneError> {
    if let [first, rest @ ..] = &dataset.ignored[..] {
        let message =
            format!("{} and {} more file(s) are no images by their names and are ignored", first.display(), rest.len());
        observer.event(Event::Warning { message });
    }
    for warning in &dataset.warnings {
        observer.event(Event::Warning { message: warning.to_string() });
    }
    let total = dataset.samples.len() as u64;
    let (mut images, mut bad) = (Vec::new(), Vec::new());
    for chunk in dataset.samples.chunks(CHUNK) {
        let read: Vec<_> = chunk.par_iter().map(|sample| sample.read(&Limits::default())).collect();
        for (sample, bytes) in chunk.iter().zip(read) {
            match bytes {
                Ok(bytes) => images.push(Image { sample: sample.clone(), checksum: Checksum::of(&bytes) }),
                Err(error) if bad_files == BadFilePolicy::Refuse => bad.push(BadFile::new(&sample.path, &error)),
                Err(error) => pass_over(error, bad_files, observer)?,
            }
        }
        proceed(observer, Phase::Data, images.len() as u64, total)?;
    }
    if !bad.is_empty() {
        return Err(DatasetError::BadFiles { files: bad }.into());
    }
    for warning in duplicates(images.iter().map(|image| (&image.checksum, &image.sample))) {
        observer.event(Event::Warning { message: warning.to_string() });
    }
    Ok(images)
}

/// The features of every look at every image, computed by the serving engine or taken from the cache.
pub(super) fn features(
    task: &Task<'_>,
    prefix: &[u8],
    images: &[Image],
    observer: &mut dyn Observer,
) -> Result<Extracted, FinetuneError> {
    let width = task.base.network().graph.graft(super::HEAD, 2)?;
    let width = width.graph.shape(width.features).len();
    let mut cache = FeatureCache::open(task.cache, &task.base.computation(prefix, task.engine), width)?;
    let looks = views(task.options.views);
    let all = || looks.iter().flat_map(|&view| images.iter().map(move |image| (image, view)));
    let missing: Vec<(&Image, View)> = all().filter(|&(image, view)| cache.get(&key(image, view)).is_none()).collect();
    let total = (images.len() * looks.len()) as u64;
    let cached = total as usize - missing.len();
    proceed(observer, Phase::Features, cached as u64, total)?;
    if !missing.is_empty() {
        let mut engine = onnx::engine::open(task.engine, prefix, task.threads)?;
        for (number, chunk) in missing.chunks(CHUNK).enumerate() {
            let look = |&(image, view): &(&Image, View)| {
                look(task, &image.sample, view).map(|input| (key(image, view), input))
            };
            let mut decoded = Vec::new();
            for result in chunk.par_iter().map(look).collect::<Vec<_>>() {
                match result {
                    Ok(pair) => decoded.push(pair),
                    Err(error) => pass_over(error, task.options.bad_files, observer)?,
                }
            }
            for batch in decoded.chunks(BATCH) {
                let (checksums, inputs): (Vec<Checksum>, Vec<PreparedImage>) = batch.iter().cloned().unzip();
                let batch = ImageBatch::stack(&inputs).map_err(|error| onnx::EngineError::Run(error.to_string()))?;
                let outputs = engine.run(&batch)?;
                let rows = outputs.first()?.data().chunks(width);
                checksums.into_iter().zip(rows).for_each(|(image, row)| cache.insert(image, row));
            }
            cache.flush()?;
            let done = cached + (number * CHUNK + chunk.len());
            proceed(observer, Phase::Features, done as u64, total)?;
        }
    }
    Ok(collect(images, &looks, &cache, cached / looks.len()))
}

fn collect(images: &[Image], looks: &[View], cache: &FeatureCache, cached: usize) -> Extracted {
    let complete = |image: &Image| looks.iter().all(|&view| cache.get(&key(image, view)).is_some());
    let samples: Vec<usize> = (0..images.len()).filter(|&index| complete(&images[index])).collect();
    let examples = |view: View| {
        let rows = samples.iter().filter_map(|&index| cache.get(&key(&images[index], view)));
        let classes = samples.iter().map(|&index| images[index].sample.class);
        Examples { features: rows.flatten().copied().collect(), classes: classes.collect() }
    };
    Extracted { looks: looks.iter().map(|&view| examples(view)).collect(), samples, cached }
}

/// By what the features of a look are kept.
fn key(image: &Image, view: View) -> Checksum {
    match view {
        View::Plain => image.checksum,
        view => Checksum::of(&[&image.checksum.0, format!("{view:?}").as_bytes()].concat()),
    }
}

/// What a network makes of a look at images: `[n, h, w, c]`.
pub(super) fn maps(
    task: &Task<'_>,
    network: &CpuExecutor,
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

/// A look at an image as the network's input.
fn look(task: &Task<'_>, sample: &Sample, view: View) -> Result<PreparedImage, DatasetError> {
    let input = task.base.network().spec.preprocess.prepared(&pixels(task, sample, view)?);
    input.map_err(|source| DatasetError::image(&sample.path, source.into()))
}

fn pixels(task: &Task<'_>, sample: &Sample, view: View) -> Result<RgbImage, DatasetError> {
    let limits = Limits::default();
    let image = sample.decode(&limits)?;
    view.of(&image, &task.base.network().spec.preprocess, &limits).map_err(|error| match error {
        AugmentError::Image(source) => DatasetError::image(&sample.path, source),
        other => DatasetError::read(&sample.path, std::io::Error::other(other.to_string())),
    })
}

/// From the file to the network's input.
pub(super) fn decode(task: &Task<'_>, sample: &Sample) -> Result<PreparedImage, DatasetError> {
    let limits = Limits::default();
    let bytes = sample.read(&limits)?;
    let input = task.base.network().spec.preprocess.apply(&bytes, &limits);
    input.map_err(|source| DatasetError::image(&sample.path, source))
}

/// Ends the run over a bad file, or says that it is left out.
fn pass_over(error: DatasetError, bad_files: BadFilePolicy, observer: &mut dyn Observer) -> Result<(), FinetuneError> {
    match bad_files {
        BadFilePolicy::Refuse => Err(error.into()),
        BadFilePolicy::Skip => {
            observer.event(Event::Warning { message: format!("left out: {error}") });
            Ok(())
        }
    }
}

fn proceed(observer: &mut dyn Observer, phase: Phase, done: u64, total: u64) -> Result<(), FinetuneError> {
    if observer.stopped() {
        return Err(FinetuneError::Stopped);
    }
    observer.event(Event::Progress { phase, done, total });
    Ok(())
}
