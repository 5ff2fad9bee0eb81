//! The Oxford 17 Category Flowers.

use std::path::Path;

use models::Labels;

use super::{Dataset, DatasetError, Sample};

/// The classes in the order of the files.
const CLASSES: [&str; 17] = [
    "daffodil",
    "snowdrop",
    "lily valley",
    "bluebell",
    "crocus",
    "iris",
    "tigerlily",
    "tulip",
    "fritillary",
    "sunflower",
    "daisy",
    "colts' foot",
    "dandelion",
    "cowslip",
    "buttercup",
    "windflower",
    "pansy",
];
/// Images of each class.
const PER_CLASS: usize = 80;

pub(super) fn list(path: &Path) -> Result<Dataset, DatasetError> {
    let inner = path.join("jpg");
    let folder = if inner.is_dir() { inner.as_path() } else { path };
    let names = (1..=CLASSES.len() * PER_CLASS).map(|number| folder.join(format!("image_{number:04}.jpg")));
    let samples: Vec<Sample> =
        names.enumerate().map(|(index, path)| Sample { path, class: index / PER_CLASS }).collect();
    if let Some(missing) = samples.iter().find(|sample| !sample.path.is_file()) {
        let name = missing.path.file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("{name} is missing; it should hold image_0001.jpg to image_1360.jpg");
        return Err(DatasetError::Oxford17 { path: path.to_owned(), reason });
    }
    let labels = Labels::new(CLASSES.iter().map(|&class| class.to_owned()).collect());
    Ok(Dataset { labels, samples, ignored: vec![] })
}
