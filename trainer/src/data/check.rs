//! What is looked at before a run begins.

use std::collections::HashMap;

use models::preprocess::{ImageTraits, Limits, decode, traits};
use rayon::prelude::*;

use super::sketch::ImageSketch;
use super::{BadFile, BadFilePolicy, Checksum, Dataset, DatasetError, Sample, Subset, Warning};

/// The result of reading every file of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What each sample's file holds, in their order; `None` for a bad one.
    pub images: Vec<Option<InspectedImage>>,
    /// The files that cannot be used: faulty entries, then samples in their order.
    pub bad: Vec<BadFile>,
    /// Images that are there twice where they should not be.
    pub warnings: Vec<Warning>,
}

/// A file that decodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedImage {
    /// The checksum of the file.
    pub checksum: Checksum,
    /// Pixels across, upright.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How its pixels are stored.
    pub traits: ImageTraits,
    /// What it looks like from afar.
    pub sketch: Option<ImageSketch>,
}

impl InspectedImage {
    fn of(sample: &Sample, limits: &Limits) -> Result<Self, DatasetError> {
        let bytes = sample.read(limits)?;
        let failed = |source| DatasetError::image(&sample.path, source);
        let (image, traits) = (decode(&bytes, limits).map_err(failed)?, traits(&bytes, limits).map_err(failed)?);
        let (width, height) = (image.width(), image.height());
        Ok(Self { checksum: Checksum::of(&bytes), width, height, traits, sketch: ImageSketch::of(&image) })
    }
}

impl Dataset {
    /// Whether it can be trained on, as far as that shows without reading images.
    ///
    /// # Errors
    /// [`DatasetError::Classes`] for fewer than two classes, [`DatasetError::BadFiles`] for faulty entries that the policy
    /// refuses, [`DatasetError::TooFew`] for a class with too few images.
    pub fn check(&self, policy: BadFilePolicy) -> Result<(), DatasetError> {
        let faults = self.account.faults();
        if policy == BadFilePolicy::Refuse && !faults.is_empty() {
            return Err(DatasetError::BadFiles { files: faults.to_vec() });
        }
        check_classes(self, &self.samples)
    }

    /// Reads and decodes every file on all threads, so that all bad ones are named.
    ///
    /// # Errors
    /// [`DatasetError::BadFiles`] if there are any and the policy refuses them.
    pub fn inspect(&self, bad_files: BadFilePolicy, limits: &Limits) -> Result<Inspection, DatasetError> {
        let read: Vec<_> = self.samples.par_iter().map(|sample| InspectedImage::of(sample, limits)).collect();
        let (mut images, mut bad) = (Vec::with_capacity(read.len()), self.account.faults().to_vec());
        for (sample, image) in self.samples.iter().zip(read) {
            if let Err(error) = &image {
                bad.push(BadFile::new(&sample.path, error));
            }
            images.push(image.ok());
        }
        if bad_files == BadFilePolicy::Refuse && !bad.is_empty() {
            return Err(DatasetError::BadFiles { files: bad });
        }
        let known = images.iter().zip(&self.samples);
        let warnings = duplicates(known.filter_map(|(image, sample)| Some((&image.as_ref()?.checksum, sample))));
        Ok(Inspection { images, bad, warnings })
    }
}

/// Images of the same bytes in a subset that trains and one that measures, or in two classes.
pub fn duplicates<'a>(images: impl IntoIterator<Item = (&'a Checksum, &'a Sample)>) -> Vec<Warning> {
    let mut first: HashMap<&Checksum, &Sample> = HashMap::new();
    let mut warnings = Vec::new();
    for (checksum, sample) in images {
        let Some(other) = first.insert(checksum, sample) else { continue };
        if other.class != sample.class {
            warnings.push(Warning::TwoClasses { first: other.path.clone(), second: sample.path.clone() });
        }
        let [a, b] = [other, sample].map(|sample| sample.subset.unwrap_or(Subset::Train) == Subset::Train);
        if a != b {
            let (trains, measures) = if a { (other, sample) } else { (sample, other) };
            warnings.push(Warning::Duplicate { trains: trains.path.clone(), measures: measures.path.clone() });
        }
    }
    warnings
}

/// Every class needs an image to train on, and one more for each subset that the data set does not give.
///
/// # Errors
/// [`DatasetError::TooFew`] naming every class that has fewer, [`DatasetError::OneClass`] for fewer than two classes.
pub fn check_classes<'a>(dataset: &Dataset, samples: impl IntoIterator<Item = &'a Sample>) -> Result<(), DatasetError> {
    let labels = &dataset.labels;
    if labels.len() < 2 {
        return Err(DatasetError::OneClass { classes: labels.names().to_vec() });
    }
    let mut counts = vec![0; labels.len()];
    let (mut validation, mut test) = (false, false);
    for sample in samples {
        match sample.subset {
            None | Some(Subset::Train) => dataset.classes_of(sample).iter().for_each(|&class| counts[class] += 1),
            Some(Subset::Validation) => validation = true,
            Some(Subset::Test) => test = true,
        }
    }
    let needed = 1 + usize::from(!validation) + usize::from(!test);
    let few = counts.iter().enumerate().filter(|(_, count)| **count < needed);
    let few: Vec<(String, usize)> =
        few.map(|(class, &count)| (labels.get(class).unwrap_or_default().to_owned(), count)).collect();
    if few.is_empty() { Ok(()) } else { Err(DatasetError::TooFew { classes: few, needed }) }
}

#[cfg(test)]
mod tests;
