//! A snapshot of a stored data set: a manifest beside the folder of its images.
//!
//! The first line of a manifest is its [`SnapshotHeader`], every other one a [`SnapshotImage`], both as JSON. It names
//! images by their checksums and never by paths, so that a manifest leads to no other file.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use models::Labels;
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::{DatasetSource, OpenOptions};
use crate::data::account::Account;
use crate::data::{Checksum, DataFile, Dataset, DatasetError, Layout, Sample, SnapshotId, Subset};

/// The folder of a stored data set: its images by their checksums, and a manifest for each snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetFolder(PathBuf);

impl DatasetFolder {
    /// This folder, which need not be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of an image.
    #[must_use]
    pub fn image(&self, checksum: &Checksum) -> PathBuf {
        let name = checksum.to_string();
        self.images().join(&name[..2]).join(name)
    }

    /// The folder of the images, with folders in it for the first two digits of their checksums.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// The folder of the snapshots.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// The manifest of a snapshot.
    #[must_use]
    pub fn manifest(&self, number: u32) -> PathBuf {
        self.snapshots().join(format!("{number}.jsonl"))
    }

    /// A snapshot as images to train on.
    #[must_use]
    pub fn source(&self, number: u32) -> DatasetSource {
        DatasetSource::new(Layout::Snapshot, self.manifest(number))
    }
}

/// The first line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// The data set's name and the number.
    pub snapshot: SnapshotId,
    /// How many lines follow: a manifest with fewer is damaged.
    pub images: u64,
}

/// A line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotImage {
    /// The checksum of the file.
    pub sha256: Checksum,
    /// The class. Several are separated by slashes, which no class has in its name; a slash alone is none.
    pub label: String,
    /// What the file was called where it came from, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The subset that the image was given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
}

impl SnapshotImage {
    /// Its classes; none where nothing is shown.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        labels_of(&self.label)
    }

    /// The file's name, or one made of the checksum.
    #[must_use]
    pub fn name(&self) -> String {
        self.file_name.clone().unwrap_or_else(|| self.sha256.to_string()[..12].to_owned())
    }
}

/// The classes of an image of a stored data set: several have slashes between, and none is a slash alone.
pub fn labels_of(label: &str) -> impl Iterator<Item = &str> {
    label.split('/').filter(|label| !label.is_empty())
}

/// A manifest, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotManifest {
    /// The data set's name and the number.
    pub snapshot: SnapshotId,
    /// Its images, in order.
    pub images: Vec<SnapshotImage>,
}

impl SnapshotManifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file, and the line that is damaged.
    pub fn read(file: &DataFile) -> Result<Self, DatasetError> {
        let failed = |source| DatasetError::read(file.path(), source);
        let damaged = |reason: String| DatasetError::Snapshot { path: file.path().to_owned(), reason };
        let mut lines = BufReader::new(file.open().map_err(failed)?).lines();
        let header = lines.next().ok_or_else(|| damaged("it is empty".to_owned()))?.map_err(failed)?;
        let SnapshotHeader { snapshot, images: count } =
            serde_json::from_str(&header).map_err(|error| damaged(format!("line 1: {error}")))?;
        let mut images: Vec<SnapshotImage> = Vec::new();
        for (line, number) in lines.zip(2..) {
            let line = line.map_err(failed)?;
            images.push(serde_json::from_str(&line).map_err(|error| damaged(format!("line {number}: {error}")))?);
        }
        if images.len() as u64 != count {
            return Err(damaged(format!("it has {} of its {count} images", images.len())));
        }
        Ok(Self { snapshot, images })
    }
}

/// The images of a manifest.
pub(super) fn list(path: &Path, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
    let SnapshotManifest { snapshot, images } = SnapshotManifest::read(&options.access.file(path))?;
    // The manifest is in the folder `snapshots` of the data set's.
    let folder = DatasetFolder::new(path.parent().and_then(Path::parent).unwrap_or(Path::new("")));
    let names: BTreeSet<&str> = images.iter().flat_map(SnapshotImage::labels).collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let class = |label: &str| names.partition_point(|name| name.as_str() < label);
    let classes = images.iter().map(|image| image.labels().map(class).collect()).collect();
    let sample = |image: &SnapshotImage| {
        let folders = image.labels().collect::<Vec<_>>().join("+");
        let shown = Path::new(&snapshot.to_string()).join(folders).join(image.name());
        let content = Content::File(options.access.file(folder.image(&image.sha256)));
        // Its classes are said below.
        Sample::new(shown, 0, content).within(image.subset).stored_as(image.sha256)
    };
    let dataset = Dataset {
        samples: images.iter().map(sample).collect(),
        layout: Layout::Snapshot,
        evidence: format!("snapshot {} of the stored data set `{}`", snapshot.number, snapshot.dataset),
        account: Account::default(),
        warnings: vec![],
        splits: vec![],
        labels: Labels::new(names.clone()),
        label_sets: None,
        snapshot: Some(snapshot),
    };
    Ok(dataset.with_classes(classes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const RED: [u8; 32] = [0xab; 32];

    /// The folder of a data set whose first snapshot has this text.
    fn folder(manifest: &str) -> (tempfile::TempDir, DatasetFolder) {
        let root = tempfile::tempdir().unwrap();
        let folder = DatasetFolder::new(root.path().join("flowers"));
        fs::create_dir_all(folder.snapshots()).unwrap();
        fs::write(folder.manifest(1), manifest).unwrap();
        (root, folder)
    }

    fn refusal(manifest: &str) -> String {
        let (_root, folder) = folder(manifest);
        folder.source(1).list().unwrap_err().to_string()
    }

    #[test]
    fn a_manifest_gives_images_by_checksum_with_their_labels_subsets_and_names() {
        let sum = "ab".repeat(32);
        let other = "cd".repeat(32);
        let (_root, folder) = folder(&format!(
            "{{\"snapshot\":{{\"dataset\":\"flowers\",\"number\":1}},\"images\":2}}\n\
             {{\"sha256\":\"{sum}\",\"label\":\"tulip\",\"file_name\":\"a.jpg\",\"subset\":\"test\"}}\n\
             {{\"sha256\":\"{other}\",\"label\":\"rose\"}}\n"
        ));
        assert_eq!(folder.image(&Checksum(RED)), folder.path().join("images/ab").join(&sum));
        let dataset = folder.source(1).list().unwrap();
        assert_eq!(dataset.labels.names(), ["rose", "tulip"]);
        assert_eq!(dataset.snapshot, Some(SnapshotId { dataset: "flowers".to_owned(), number: 1 }));
        let samples: Vec<_> = dataset.samples.iter().map(|sample| (sample.class, sample.subset)).collect();
        assert_eq!(samples, [(1, Some(Subset::Test)), (0, None)]);
        let shown: Vec<_> = dataset.samples.iter().map(|sample| sample.path.display().to_string()).collect();
        assert_eq!(shown, ["flowers@1/tulip/a.jpg".to_owned(), format!("flowers@1/rose/{}", &other[..12])]);
    }

    #[test]
    fn images_of_several_classes_have_them_all() {
        let line = |sum: &str, label: &str| format!("{{\"sha256\":\"{}\",\"label\":\"{label}\"}}\n", sum.repeat(32));
        let header = "{\"snapshot\":{\"dataset\":\"flowers\",\"number\":1},\"images\":3}\n";
        let manifest = [header, &line("ab", "rose/tulip"), &line("cd", "/"), &line("ef", "rose")].concat();
        let (_root, folder) = folder(&manifest);
        let dataset = folder.source(1).list().unwrap();
        assert!(dataset.is_multi_label());
        let labels: Vec<Vec<&str>> = dataset.samples.iter().map(|sample| dataset.labels_of(sample).collect()).collect();
        assert_eq!(labels, [vec!["rose", "tulip"], vec![], vec!["rose"]]);
    }

    #[test]
    fn a_manifest_that_is_cut_off_or_leads_elsewhere_is_damaged() {
        let header = |images: u32| format!("{{\"snapshot\":{{\"dataset\":\"a\",\"number\":1}},\"images\":{images}}}\n");
        assert!(refusal("").contains("is empty"));
        assert!(refusal(&header(3)).contains("0 of its 3 images"));
        let path = header(1) + "{\"sha256\":\"../../../../etc/passwd\",\"label\":\"rose\"}\n";
        assert!(refusal(&path).contains("line 2: `../../../../etc/passwd` is no SHA-256"), "{}", refusal(&path));
    }
}
