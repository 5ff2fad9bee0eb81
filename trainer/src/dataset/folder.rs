//! A folder per class.

use std::path::{Path, PathBuf};

use models::Labels;

use super::{Dataset, DatasetError, Sample};

/// The endings of the formats that the decoder reads.
const ENDINGS: [&str; 6] = ["bmp", "gif", "jpeg", "jpg", "png", "webp"];

/// Classes are the folders in the order of their names. Hidden files and folders, such as `.ipynb_checkpoints`, are no
/// classes; an empty folder is one, because leaving it out would shift the numbers of the classes behind it.
pub(super) fn list(path: &Path) -> Result<Dataset, DatasetError> {
    let (mut names, mut samples, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    for folder in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let class = names.len();
        names.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let (images, others): (Vec<_>, Vec<_>) =
            entries(&folder)?.into_iter().filter(|entry| entry.is_file()).partition(|file| is_image(file));
        samples.extend(images.into_iter().map(|path| Sample { path, class }));
        ignored.extend(others);
    }
    Ok(Dataset { labels: Labels::new(names), samples, ignored })
}

/// What is in a folder, sorted by name, hidden entries left out.
fn entries(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|source| DatasetError::read(path, source))?;
    let visible = entries.iter().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let mut paths: Vec<PathBuf> = visible.map(std::fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ENDINGS.contains(&ending.as_str())
}
