//! What is wrong with a data set beside files that cannot be used.

mod storage;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::check::InspectedImage;
use super::{Checksum, Dataset, Inspection, Sample};
pub use storage::{ImageGroup, ModeGroup, Storage, StrayFolder};

/// The shorter side, in pixels, from which on an image is not tiny: networks look at 224, and those for CIFAR at 32.
const TINY: u32 = 32;
/// How many times as many images the largest class may have as the smallest.
const BALANCED: f64 = 3.0;
/// Images among which copies are looked for that are not equal to the byte: the time grows with their square.
const COMPARED: usize = 100_000;

/// Findings about a data set. Images are named by their path below the data set's folder.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// Images whose shorter side has fewer than 32 pixels.
    pub tiny: Vec<TinyImage>,
    /// Images that are there more than once: those in several classes first, then those in several subsets.
    pub copies: Vec<CopyGroup>,
    /// Classes of very different size, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub imbalance: Option<Imbalance>,
    /// How the images are stored.
    #[serde(default)]
    pub storage: Storage,
}

/// An image that has hardly any pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TinyImage {
    /// Its path below the data set's folder.
    pub image: String,
    /// Its id, if it is of a stored data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub id: Option<Checksum>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Images that are the same or look the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CopyGroup {
    /// How alike they are.
    pub kind: CopyKind,
    /// Whether they are in more than one class: at least one label is wrong.
    pub across_classes: bool,
    /// Whether they are in more than one of the subsets that the data set gives: the result is too good.
    pub across_subsets: bool,
    /// Two or more.
    pub images: Vec<ImageCopy>,
}

/// How alike copies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CopyKind {
    /// The same bytes.
    Exact,
    /// They look the same: copies of another size or quality, or two shots of one moment.
    Similar,
}

/// One of several copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageCopy {
    /// Its path below the data set's folder.
    pub image: String,
    /// Its id, if it is of a stored data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub id: Option<Checksum>,
    /// Its class, or its classes with commas between them.
    pub class: String,
    /// The subset that the data set puts it in, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub subset: Option<String>,
}

/// The classes with the most and the fewest images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Imbalance {
    /// The largest class.
    pub largest: String,
    /// How many images it has.
    pub largest_images: usize,
    /// The smallest class.
    pub smallest: String,
    /// How many images it has.
    pub smallest_images: usize,
}

impl Diagnosis {
    /// Of a data set whose files were read. `name` says what an image is called.
    #[must_use]
    pub fn new(dataset: &Dataset, inspection: &Inspection, name: impl Fn(&Sample) -> String) -> Self {
        let images = dataset.samples.iter().zip(&inspection.images);
        let usable: Vec<(&Sample, &InspectedImage)> =
            images.filter_map(|(sample, image)| Some((sample, image.as_ref()?))).collect();
        let tiny = usable.iter().filter(|(_, image)| image.width.min(image.height) < TINY);
        let tiny = tiny.map(|(sample, image)| TinyImage {
            image: name(sample),
            id: sample.stored_id(),
            width: image.width,
            height: image.height,
        });
        let group = |(kind, members): (CopyKind, Vec<usize>)| {
            let samples: Vec<&Sample> = members.iter().map(|&at| usable[at].0).collect();
            let differ = |a: &Sample, b: &Sample| [a.class != b.class, a.subset != b.subset];
            let [across_classes, across_subsets] =
                samples.windows(2).fold([false, false], |[classes, subsets], pair| {
                    let [class, subset] = differ(pair[0], pair[1]);
                    [classes || class, subsets || subset]
                });
            let copy = |sample: &&Sample| ImageCopy {
                image: name(sample),
                id: sample.stored_id(),
                class: dataset.labels_of(sample).collect::<Vec<_>>().join(", "),
                subset: sample.subset.map(|subset| subset.name().to_owned()),
            };
            CopyGroup { kind, across_classes, across_subsets, images: samples.iter().map(copy).collect() }
        };
        let mut copies: Vec<CopyGroup> = copies(&usable).into_iter().map(group).collect();
        copies.sort_by_key(|group| (!group.across_classes, !group.across_subsets));
        let (tiny, imbalance) = (tiny.collect(), imbalance(dataset, &usable));
        Self { tiny, copies, imbalance, storage: storage::storage(dataset, &usable, &name) }
    }
}

/// Groups of images that are copies of each other, by their numbers. A group is exact only if all of it is.
fn copies(images: &[(&Sample, &InspectedImage)]) -> Vec<(CopyKind, Vec<usize>)> {
    let mut groups = Groups::new(images.len());
    let mut first = BTreeMap::new();
    let mut distinct = Vec::new();
    for (number, (_, image)) in images.iter().enumerate() {
        match first.get(&image.checksum) {
            Some(&other) => groups.join(other, number),
            None => {
                first.insert(image.checksum, number);
                distinct.push(number);
            }
        }
    }
    if distinct.len() <= COMPARED {
        let sketch = |number: usize| images[number].1.sketch.as_ref();
        let alike = |(at, &number): (usize, &usize)| {
            let others = distinct[at + 1..]
                .iter()
                .filter(move |&&other| sketch(number).zip(sketch(other)).is_some_and(|(a, b)| a.resembles(b)));
            others.map(move |&other| (number, other)).collect::<Vec<_>>()
        };
        for (a, b) in distinct.par_iter().enumerate().flat_map_iter(alike).collect::<Vec<_>>() {
            groups.join(a, b);
        }
    }
    let kind = |members: &[usize]| {
        let same = members.iter().all(|&member| images[member].1.checksum == images[members[0]].1.checksum);
        if same { CopyKind::Exact } else { CopyKind::Similar }
    };
    groups.of_several().into_iter().map(|members| (kind(&members), members)).collect()
}

/// Numbers that are joined to groups (union-find).
struct Groups(Vec<usize>);

impl Groups {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut number: usize) -> usize {
        while self.0[number] != number {
            self.0[number] = self.0[self.0[number]];
            number = self.0[number];
        }
        number
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }

    fn of_several(mut self) -> Vec<Vec<usize>> {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in 0..self.0.len() {
            members.entry(self.root(number)).or_default().push(number);
        }
        members.into_values().filter(|members| members.len() > 1).collect()
    }
}

fn imbalance(dataset: &Dataset, images: &[(&Sample, &InspectedImage)]) -> Option<Imbalance> {
    let mut counts = vec![0_usize; dataset.labels.len()];
    images.iter().flat_map(|(sample, _)| dataset.classes_of(sample)).for_each(|&class| counts[class] += 1);
    let numbered = || counts.iter().copied().enumerate();
    let (largest, most) = numbered().max_by_key(|&(class, count)| (count, std::cmp::Reverse(class)))?;
    let (smallest, fewest) = numbered().min_by_key(|&(_, count)| count)?;
    let name = |class: usize| dataset.labels.get(class).unwrap_or_default().to_owned();
    (most as f64 > BALANCED * fewest as f64).then(|| Imbalance {
        largest: name(largest),
        largest_images: most,
        smallest: name(smallest),
        smallest_images: fewest,
    })
}

#[cfg(test)]
mod tests;
