//! How a data set was understood, as it is said before anything is trained.

use serde::{Deserialize, Serialize};

use super::{Dataset, Layout, Omission, SnapshotId, Split, Subset};

/// How a data set was understood: its layout, classes and subsets, and what is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetSummary {
    /// The layout; never `auto` or `folder`.
    pub layout: Layout,
    /// Why it is this layout.
    #[cfg_attr(feature = "openapi", schema(example = "3 folders hold pictures, each named after its class"))]
    pub evidence: String,
    /// The snapshot that was read, for a stored data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub snapshot: Option<SnapshotId>,
    /// Whether images may have several classes, or none (multi-label).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_label: bool,
    /// The classes in the order of their numbers.
    pub classes: Vec<ClassSummary>,
    /// How many images there are in all.
    #[cfg_attr(feature = "openapi", schema(example = 72))]
    pub images: usize,
    /// The subsets that the data set gives: `train`, `validation`, `test`. The others are drawn from the images to train
    /// on, by the seed.
    #[cfg_attr(feature = "openapi", schema(example = json!(["train", "test"])))]
    pub given_subsets: Vec<String>,
    /// What is left out, by reason.
    pub omissions: Vec<Omission>,
    /// How many files cannot be used; they are named in warnings or in the error.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub unusable: usize,
    /// What looks wrong and does not stop the run.
    pub warnings: Vec<String>,
}

/// The images of a class. One that has several classes counts for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClassSummary {
    /// What the class is called.
    #[cfg_attr(feature = "openapi", schema(example = "tulip"))]
    pub name: String,
    /// Images to train on.
    #[cfg_attr(feature = "openapi", schema(example = 17))]
    pub train: usize,
    /// Images that choose the best epoch.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub validation: usize,
    /// Images that measure the result.
    #[cfg_attr(feature = "openapi", schema(example = 6))]
    pub test: usize,
}

impl DatasetSummary {
    /// What was understood of a data set, with its images divided like this.
    #[must_use]
    pub fn new(dataset: &Dataset, split: &Split) -> Self {
        let names = dataset.labels.names().iter().enumerate();
        let counts = |subset: &[usize]| {
            let mut counts = vec![0; dataset.labels.len()];
            for &at in subset {
                dataset.classes_of(&dataset.samples[at]).iter().for_each(|&class| counts[class] += 1);
            }
            counts
        };
        let [train, validation, test] = [&split.train, &split.validation, &split.test].map(|subset| counts(subset));
        let class = |(number, name): (usize, &String)| ClassSummary {
            name: name.clone(),
            train: train[number],
            validation: validation[number],
            test: test[number],
        };
        let given = |subset: &Subset| dataset.samples.iter().any(|sample| sample.subset == Some(*subset));
        let subsets = [Subset::Train, Subset::Validation, Subset::Test];
        Self {
            layout: dataset.layout,
            evidence: dataset.evidence.clone(),
            snapshot: dataset.snapshot.clone(),
            multi_label: dataset.is_multi_label(),
            classes: names.map(class).collect(),
            images: dataset.samples.len(),
            given_subsets: subsets
                .iter()
                .filter(|subset| given(subset))
                .map(|subset| subset.name().to_owned())
                .collect(),
            omissions: dataset.account.omissions(),
            unusable: dataset.account.faults().len(),
            warnings: dataset.warnings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl ClassSummary {
    /// All images of the class.
    #[must_use]
    pub fn images(&self) -> usize {
        self.train + self.validation + self.test
    }
}
