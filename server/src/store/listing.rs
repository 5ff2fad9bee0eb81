//! What is in the folder of models, stray and unreadable things left out.

use std::fs;
use std::io;
use std::path::Path;

use super::settings::ModelSettings;
use super::{ModelName, ModelStore, StoreError};

/// A model and its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelEntry {
    /// The model's name.
    pub name: ModelName,
    /// Ascending; never empty.
    pub versions: Vec<u32>,
    /// What people decided about it.
    pub settings: ModelSettings,
}

/// All models, and what looks like one and cannot be read.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub models: Vec<ModelEntry>,
    /// By name. One unreadable folder costs one model.
    pub unreadable: Vec<(ModelName, StoreError)>,
}

impl ModelStore {
    /// All models with their versions.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder of all models cannot be read.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for name in names(&self.root)?.iter().filter_map(|folder| folder.parse::<ModelName>().ok()) {
            let found = self.versions(&name).and_then(|versions| Ok((versions, self.settings(&name)?)));
            match found {
                Ok((versions, _)) if versions.is_empty() => {}
                Ok((versions, settings)) => listing.models.push(ModelEntry { name, versions, settings }),
                Err(error) => listing.unreadable.push((name, error)),
            }
        }
        listing.models.sort_by(|a, b| a.name.cmp(&b.name));
        listing.unreadable.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(listing)
    }

    /// The numbers of a model's versions, ascending; none where there is no such model. Anything else in its folder is not a
    /// version.
    ///
    /// # Errors
    /// [`StoreError::Io`] when its folder cannot be read.
    pub fn versions(&self, name: &ModelName) -> Result<Vec<u32>, StoreError> {
        let names = names(&self.root.join(name.as_str()))?;
        let number = |name: &String| name.parse::<u32>().ok().filter(|number| number.to_string() == *name);
        let mut versions: Vec<u32> = names.iter().filter_map(number).collect();
        versions.sort_unstable();
        Ok(versions)
    }
}

/// The names in a folder; none when there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(StoreError::io(folder)(error)),
    }
}
