//! The frozen part, once per image.

use models::preprocess::{Batch, Input, Limits};
use rayon::prelude::*;

use super::{FinetuneError, Task};
use crate::dataset::{BadFile, BadFiles, Checksum, Dataset, DatasetError, Sample, doubles};
use crate::events::{Event, Observer, Phase};
use crate::features::FeatureCache;
use crate::head::Examples;

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
    pub(super) examples: Examples,
    /// Which image each row is of.
    pub(super) samples: Vec<usize>,
    /// How many rows were in the cache.
    pub(super) cached: usize,
}

/// Reads every file and its header, so that a bad one is named before any work is done on the good ones.
pub(super) fn check(
    dataset: &Dataset,
    bad_files: BadFiles,
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
                Err(error) if bad_files == BadFiles::Refuse => bad.push(BadFile::new(&sample.path, &error)),
                Err(error) => pass_over(error, bad_files, observer)?,
            }
        }
        proceed(observer, Phase::Data, images.len() as u64, total)?;
    }
    if !bad.is_empty() {
        return Err(DatasetError::BadFiles { files: bad }.into());
    }
    for warning in doubles(images.iter().map(|image| (&image.checksum, &image.sample))) {
        observer.event(Event::Warning { message: warning.to_string() });
    }
    Ok(images)
}

/// The features of every image, computed by the serving engine or taken from the cache.
pub(super) fn features(
    task: &Task<'_>,
    prefix: &[u8],
    images: &[Image],
    observer: &mut dyn Observer,
) -> Result<Extracted, FinetuneError> {
    let width = task.base.graph.graft(super::HEAD, 2)?;
    let width = width.graph.shape(width.features).len();
    let mut cache = FeatureCache::open(task.cache, prefix, width)?;
    let missing: Vec<&Image> = images.iter().filter(|image| cache.get(&image.checksum).is_none()).collect();
    let cached = images.len() - missing.len();
    let total = images.len() as u64;
    proceed(observer, Phase::Features, cached as u64, total)?;
    if !missing.is_empty() {
        let mut engine = onnx::engine::open(task.engine, prefix, task.threads)?;
        for (number, chunk) in missing.chunks(CHUNK).enumerate() {
            let decode = |image: &&Image| decode(task, &image.sample).map(|input| (image.checksum, input));
            let mut decoded = Vec::new();
            for result in chunk.par_iter().map(decode).collect::<Vec<_>>() {
                match result {
                    Ok(pair) => decoded.push(pair),
                    Err(error) => pass_over(error, task.options.bad_files, observer)?,
                }
            }
            for batch in decoded.chunks(BATCH) {
                let (checksums, inputs): (Vec<Checksum>, Vec<Input>) = batch.iter().cloned().unzip();
                let batch = Batch::stack(&inputs).map_err(|error| onnx::EngineError::Run(error.to_string()))?;
                let outputs = engine.run(&batch)?;
                let rows = outputs.first()?.data().chunks(width);
                checksums.into_iter().zip(rows).for_each(|(image, row)| cache.insert(image, row));
            }
            cache.flush()?;
            let done = cached + (number * CHUNK + chunk.len());
            proceed(observer, Phase::Features, done as u64, total)?;
        }
    }
    Ok(collect(images, &cache, cached))
}

fn collect(images: &[Image], cache: &FeatureCache, cached: usize) -> Extracted {
    let mut extracted = Extracted { examples: Examples::default(), samples: vec![], cached };
    for (index, image) in images.iter().enumerate() {
        if let Some(row) = cache.get(&image.checksum) {
            extracted.examples.features.extend(row);
            extracted.examples.classes.push(image.sample.class);
            extracted.samples.push(index);
        }
    }
    extracted
}

/// From the file to the network's input.
pub(super) fn decode(task: &Task<'_>, sample: &Sample) -> Result<Input, DatasetError> {
    let limits = Limits::default();
    let bytes = sample.read(&limits)?;
    let input = task.base.spec.preprocess.apply(&bytes, &limits);
    input.map_err(|source| DatasetError::image(&sample.path, source))
}

/// Ends the run over a bad file, or says that it is left out.
fn pass_over(error: DatasetError, bad_files: BadFiles, observer: &mut dyn Observer) -> Result<(), FinetuneError> {
    match bad_files {
        BadFiles::Refuse => Err(error.into()),
        BadFiles::Skip => {
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
