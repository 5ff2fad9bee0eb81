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
    /// The files that cannot be used: faulty entries, then samples in their order.
    pub bad: Vec<BadFile>,
    /// Images that are there twice where they should not be.
    pub warnings: Vec<Warning>,
}

impl Dataset {
    /// Reads and decodes every file on all threads, so that all bad ones are named.
    ///
    /// # Errors
    /// [`DatasetError::BadFiles`] if there are any and the policy refuses them.
    pub fn inspect(&self, bad_files: BadFilePolicy, limits: &Limits) -> Result<Inspection, DatasetError> {
        let look = |sample: &Sample| sample.decode_file(limits).map(|bytes| Checksum::of(&bytes));
        let read: Vec<_> = self.samples.par_iter().map(look).collect();
        let (mut checksums, mut bad) = (Vec::with_capacity(read.len()), self.account.faults().to_vec());
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
/// [`DatasetError::TooFew`] naming every class that has fewer, [`DatasetError::OneClass`] for fewer than two classes.
pub fn check_classes<'a>(labels: &Labels, samples: impl IntoIterator<Item = &'a Sample>) -> Result<(), DatasetError> {
    if labels.len() < 2 {
        return Err(DatasetError::OneClass { classes: labels.names().to_vec() });
    }
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
    let few = counts.iter().enumerate().filter(|(_, count)| **count < needed);
    let few: Vec<(String, usize)> =
        few.map(|(class, &count)| (labels.get(class).unwrap_or_default().to_owned(), count)).collect();
    if few.is_empty() { Ok(()) } else { Err(DatasetError::TooFew { classes: few, needed }) }
}

#[cfg(test)]
mod tests;
