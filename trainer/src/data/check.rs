//! What is looked at before a run begins.

use std::collections::HashMap;

use models::Labels;
use models::preprocess::Limits;
use rayon::prelude::*;

use super::{BadFile, BadFilePolicy, Checksum, Dataset, DatasetError, Sample, Subset, Warning};

/// The result of reading every file of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The checksum of each sample's file, in their order; `None` for a bad one.
    pub checksums: Vec<Option<Checksum>>,
    /// The files that cannot be used, in the order of the samples.
    pub bad: Vec<BadFile>,
    /// Images that are there twice where they should not be.
    pub warnings: Vec<Warning>,
}

impl Dataset {
    /// Reads every file and its header on all threads, so that a bad one is named before any work is done on the good
    /// ones. What shows only in the pixels is found when they are decoded.
    ///
    /// # Errors
    /// [`DatasetError::BadFiles`] if there are any and the policy refuses them.
    pub fn inspect(&self, bad_files: BadFilePolicy, limits: &Limits) -> Result<Inspection, DatasetError> {
        let look = |sample: &Sample| sample.read(limits).map(|bytes| Checksum::of(&bytes));
        let read: Vec<_> = self.samples.par_iter().map(look).collect();
        let (mut checksums, mut bad) = (Vec::with_capacity(read.len()), Vec::new());
        for (sample, checksum) in self.samples.iter().zip(read) {
            if let Err(error) = &checksum {
                bad.push(BadFile::new(&sample.path, error));
            }
            checksums.push(checksum.ok());
        }
        if bad_files == BadFilePolicy::Refuse && !bad.is_empty() {
            return Err(DatasetError::BadFiles { files: bad });
        }
        let known =
            checksums.iter().zip(&self.samples).filter_map(|(checksum, sample)| Some((checksum.as_ref()?, sample)));
        let warnings = duplicates(known);
        Ok(Inspection { checksums, bad, warnings })
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
/// [`DatasetError::TooFew`] naming the first class that has fewer.
pub fn check_classes<'a>(labels: &Labels, samples: impl IntoIterator<Item = &'a Sample>) -> Result<(), DatasetError> {
    let mut counts = vec![0; labels.len()];
    let (mut validation, mut test) = (false, false);
    for sample in samples {
        match sample.subset {
            None | Some(Subset::Train) => counts[sample.class] += 1,
            Some(Subset::Validation) => validation = true,
            Some(Subset::Test) => test = true,
        }
    }
    let needed = 1 + usize::from(!validation) + usize::from(!test);
    match counts.iter().position(|&count| count < needed) {
        Some(class) => {
            let (class, found) = (labels.get(class).unwrap_or_default().to_owned(), counts[class]);
            Err(DatasetError::TooFew { class, found, needed })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
