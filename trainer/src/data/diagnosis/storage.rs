//! How the images are stored: which way up, in which colors, and in which folders there are none.

use std::collections::BTreeMap;

use models::preprocess::ColorMode;
use serde::{Deserialize, Serialize};

use crate::data::check::InspectedImage;
use crate::data::{Dataset, Sample};

/// How many images are named of each kind.
const EXAMPLES: usize = 5;

/// Some images, the first of them by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageGroup {
    /// How many there are.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub count: usize,
    /// The first of them.
    pub examples: Vec<String>,
}

/// The images that store their pixels in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModeGroup {
    /// What a stored pixel is: `gray`, `gray_alpha`, `palette`, `rgb`, `rgba`, `cmyk`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "cmyk"))]
    pub mode: ColorMode,
    /// How many they are, and examples.
    #[serde(flatten)]
    pub images: ImageGroup,
}

/// A folder with entries that are left out and no image that is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StrayFolder {
    /// The whole of its path.
    #[cfg_attr(feature = "openapi", schema(example = "/data/flowers/notes"))]
    pub folder: String,
    /// How many entries of it are left out.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub entries: usize,
}

/// How the images are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Storage {
    /// Images that their metadata (EXIF, XMP) say to turn or mirror. That is done; a program that does not do it sees them
    /// lying on their side.
    pub turned: ImageGroup,
    /// What a stored pixel is, by kind. All become 8-bit RGB.
    pub modes: Vec<ModeGroup>,
    /// Images with 16 bits a channel, of which the high byte is kept.
    pub deep: ImageGroup,
    /// Folders in which no image is used.
    pub stray_folders: Vec<StrayFolder>,
}

impl ImageGroup {
    fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(name());
        }
    }
}

/// How the images of a data set are stored. `name` says what an image is called.
pub(super) fn storage(
    dataset: &Dataset,
    images: &[(&Sample, &InspectedImage)],
    name: impl Fn(&Sample) -> String,
) -> Storage {
    let (mut turned, mut deep, mut modes) = (ImageGroup::default(), ImageGroup::default(), BTreeMap::new());
    for (sample, image) in images {
        if image.traits.turned {
            turned.add(|| name(sample));
        }
        if image.traits.deep {
            deep.add(|| name(sample));
        }
        let mode: &mut ImageGroup = modes.entry(image.traits.mode).or_default();
        mode.add(|| name(sample));
    }
    let modes = modes.into_iter().map(|(mode, images)| ModeGroup { mode, images }).collect();
    Storage { turned, modes, deep, stray_folders: stray_folders(dataset) }
}

fn stray_folders(dataset: &Dataset) -> Vec<StrayFolder> {
    let used = |folder: &std::path::Path| dataset.samples.iter().any(|sample| sample.path.starts_with(folder));
    let stray = dataset.account.folders().filter(|(folder, _)| !used(folder));
    stray.map(|(folder, entries)| StrayFolder { folder: folder.display().to_string(), entries }).collect()
}
