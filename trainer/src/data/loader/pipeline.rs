//! From a sample to its numbers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use models::failure::panic_message;
use models::preprocess::RgbImage;
use rayon::prelude::*;

use super::cache::Cache;
use super::{LoaderError, PixelValues, Resources, TransformSpec};
use crate::data::augment::{AugmentError, Geometry, SampleKey};
use crate::data::{BadFile, BadFilePolicy, DatasetError, Sample};

/// Everything that the threads share.
#[derive(Debug)]
pub(super) struct Pipeline {
    samples: Arc<[Sample]>,
    spec: TransformSpec,
    resources: Resources,
    /// `(height, width)` of every image.
    size: (u32, u32),
    /// A number for each level of each channel.
    table: Box<[[f32; 256]; 3]>,
    cache: Cache,
    skipped: Mutex<BTreeMap<usize, BadFile>>,
}

impl Pipeline {
    pub(super) fn new(samples: Arc<[Sample]>, spec: TransformSpec, resources: Resources) -> Result<Self, LoaderError> {
        spec.augmentation.validate().map_err(LoaderError::Transform)?;
        spec.preprocess.validate().map_err(|error| LoaderError::Transform(error.into()))?;
        let size = spec.preprocess.output_size().ok_or(LoaderError::Size)?;
        let table = Box::new(table(&spec.values)?);
        let cache = Cache::new(resources.memory);
        Ok(Self { samples, spec, resources, size, table, cache, skipped: Mutex::default() })
    }

    /// `(height, width)` of every image.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.size.0 as usize, self.size.1 as usize)
    }

    pub(super) fn sample(&self, index: usize) -> Option<&Sample> {
        self.samples.get(index)
    }

    pub(super) fn skipped(&self) -> Vec<BadFile> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Every file that cannot be decoded, in the order of the samples.
    pub(super) fn bad_files(&self) -> Vec<BadFile> {
        let bad = |sample: &Sample| {
            let error = sample.decode_for(&self.spec.preprocess, &self.resources.limits).err()?;
            Some(BadFile::new(&sample.path, &error))
        };
        self.samples.par_iter().filter_map(bad).collect()
    }

    /// The numbers of a sample in an epoch, `[height, width, 3]`; `None` if it is bad and such are skipped. A panic
    /// becomes an error that names the image.
    pub(super) fn load(&self, index: usize, epoch: u64) -> Result<Option<Vec<f32>>, LoaderError> {
        let samples = self.samples.len();
        let sample = self.samples.get(index).ok_or(LoaderError::Position { index, samples })?;
        match guarded(sample, || self.numbers(sample, index, epoch)) {
            Ok(numbers) => Ok(Some(numbers)),
            Err(LoaderError::Dataset(error)) if self.resources.bad_files == BadFilePolicy::Skip => {
                let bad = BadFile::new(&sample.path, &error);
                self.skipped.lock().unwrap_or_else(PoisonError::into_inner).insert(index, bad);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn numbers(&self, sample: &Sample, index: usize, epoch: u64) -> Result<Vec<f32>, LoaderError> {
        let image = match self.cache.get(index) {
            Some(image) => image,
            None => {
                let image = Arc::new(sample.decode_for(&self.spec.preprocess, &self.resources.limits)?);
                self.cache.offer(index, &image);
                image
            }
        };
        let key = SampleKey { seed: self.spec.seed, epoch, sample: index as u64 };
        let TransformSpec { preprocess, augmentation, .. } = &self.spec;
        let geometry = Geometry { preprocess, limits: &self.resources.limits };
        let augmented = augmentation.apply(&image, geometry, key);
        let augmented = augmented.map_err(|error| match error {
            AugmentError::Image(source) => DatasetError::image(&sample.path, source).into(),
            error => LoaderError::augment(&sample.path, error),
        })?;
        self.check_size(sample, &augmented)?;
        let pixels = augmented.data().as_chunks::<3>().0;
        let [red, green, blue] = &*self.table;
        let numbers =
            pixels.iter().flat_map(|&[r, g, b]| [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]]);
        Ok(numbers.collect())
    }

    fn check_size(&self, sample: &Sample, image: &RgbImage) -> Result<(), LoaderError> {
        if (image.height(), image.width()) == self.size {
            return Ok(());
        }
        Err(LoaderError::augment(&sample.path, AugmentError::Size))
    }
}

/// In f32, the difference first and the quotient after it, as the executor's `Normalize` computes them.
fn table(values: &PixelValues) -> Result<[[f32; 256]; 3], LoaderError> {
    let PixelValues::Normalized(normalize) = values else {
        return Ok([std::array::from_fn(|level| level as f32); 3]);
    };
    match (&normalize.mean[..], &normalize.std[..]) {
        ([_, _, _], [_, _, _]) => Ok(std::array::from_fn(|channel| {
            std::array::from_fn(|level| (level as f32 - normalize.mean[channel]) / normalize.std[channel])
        })),
        (means, deviations) => Err(LoaderError::Channels { means: means.len(), deviations: deviations.len() }),
    }
}

/// A panic while a sample is loaded becomes an error that names it.
fn guarded<T>(sample: &Sample, load: impl FnOnce() -> Result<T, LoaderError>) -> Result<T, LoaderError> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
        Err(LoaderError::Panic { path: sample.path.clone(), message: panic_message(&*panic).to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_image() {
        let sample = Sample::file("rose/1.jpg".into(), 0);
        let failed = guarded::<()>(&sample, || panic!("index {} out of bounds", 3)).unwrap_err().to_string();
        assert!(failed.contains("rose/1.jpg: index 3 out of bounds"), "{failed}");
    }
}
