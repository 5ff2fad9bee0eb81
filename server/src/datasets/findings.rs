//! What is found in a data set whose every file was read.

use serde::{Deserialize, Serialize};
use trainer::data::{Checksum, Dataset, DatasetSource, DatasetSummary, Diagnosis, Inspection};
use trainer::finetune::FinetuneOptions;
use utoipa::ToSchema;

/// How a data set is understood, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetFindings {
    /// Layout, classes and subsets.
    #[serde(flatten)]
    pub summary: DatasetSummary,
    /// Files that cannot be used.
    pub bad_files: Vec<BadImage>,
    /// What is wrong beside them.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BadImage {
    /// Its path below the data set.
    #[schema(example = "roses/17.jpg")]
    pub image: String,
    /// Its id, if it is of a stored data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub id: Option<Checksum>,
    /// Why, and what to do about it.
    #[schema(example = "roses/17.jpg: the jpeg is truncated: the file ends before the image does")]
    pub reason: String,
}

impl DatasetFindings {
    /// Of a data set, its files as they were read, and the options that divide it.
    #[must_use]
    pub fn new(source: &DatasetSource, dataset: &Dataset, inspection: &Inspection, options: &FinetuneOptions) -> Self {
        let mut summary = DatasetSummary::new(dataset, &options.split(dataset, &dataset.samples));
        let Inspection { bad, warnings, .. } = inspection;
        summary.unusable = bad.len();
        summary.warnings.extend(warnings.iter().map(ToString::to_string));
        let below = |path: &std::path::Path| path.strip_prefix(source.path()).unwrap_or(path).display().to_string();
        // Faulty entries come first, which are no samples, and the others are in the order of the samples.
        let unread = dataset.samples.iter().zip(&inspection.images).filter(|(_, image)| image.is_none());
        let ids: Vec<Option<Checksum>> = unread.map(|(sample, _)| sample.stored_id()).collect();
        let faults = inspection.bad.len().saturating_sub(ids.len());
        let bad = |(place, file): (usize, &trainer::data::BadFile)| BadImage {
            image: below(&file.path),
            id: place.checked_sub(faults).and_then(|sample| ids[sample]),
            reason: file.reason.clone(),
        };
        Self {
            summary,
            bad_files: inspection.bad.iter().enumerate().map(bad).collect(),
            diagnosis: Diagnosis::new(dataset, inspection, |sample| sample.name_below(source.path())),
        }
    }
}
