//! Models that come with the program.

use super::publish::Terms;
use super::{Artifacts, Availability, ModelName, ModelStore, StoreError};

impl ModelStore {
    /// Whether the model of this name has to be written: there is none, or it came with another version of the program. A
    /// model of the user's that has the name stays what it is.
    ///
    /// # Errors
    /// [`StoreError::Settings`], [`StoreError::Io`] when its folder cannot be read.
    pub fn lacks_built_in(&self, name: &ModelName, checksum: &str) -> Result<bool, StoreError> {
        let versions = self.versions(name)?;
        Ok(match self.settings(name)?.built_in {
            Some(built_in) => built_in.checksum != checksum || !versions.contains(&built_in.version),
            None => versions.is_empty(),
        })
    }

    /// Publishes the model that comes with the program, and lets it answer in the place of an older one. Nobody else can
    /// publish under its name.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_built_in(
        &self,
        name: &ModelName,
        artifacts: &Artifacts<'_>,
        checksum: &str,
    ) -> Result<u32, StoreError> {
        let terms = Terms { publication: None, first: Availability::Served, built_in: Some(checksum) };
        let version = self.publish_with(name, artifacts, terms)?;
        self.set_live(name, version)?;
        Ok(version)
    }

    /// # Errors
    /// [`StoreError::BuiltIn`] for a model that came with the program.
    pub fn refuse_built_in(&self, name: &ModelName) -> Result<(), StoreError> {
        match self.settings(name)?.built_in {
            Some(_) => Err(StoreError::BuiltIn { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The model that answers where none is named: the one that was chosen, or the only classifier of the user's, or the one
    /// that came with the program. `None` where there is no such model, or several.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder of all models cannot be read.
    pub fn answering_by_default(&self) -> Result<Option<ModelName>, StoreError> {
        if let Some(name) = self.default_model()? {
            return Ok(Some(name));
        }
        let mut entries = self.list()?.models;
        entries.retain(|entry| entry.settings.availability == Availability::Served);
        let classifies = |name: &ModelName| {
            let spec = self.resolve(name, None).and_then(|version| self.spec(name, version));
            spec.is_ok_and(|spec| spec.labels.is_some())
        };
        let (own, built_in): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.settings.built_in.is_none());
        let mut own = own.into_iter().map(|entry| entry.name).filter(classifies);
        Ok(match (own.next(), own.next()) {
            (Some(only), None) => Some(only),
            (None, _) => built_in.into_iter().map(|entry| entry.name).next(),
            _ => None,
        })
    }

    /// An image with which a version of a model tests itself, as a file.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Io`].
    pub fn sample_image(&self, name: &ModelName) -> Result<Option<std::path::PathBuf>, StoreError> {
        let folder = self.folder(name, self.resolve(name, None)?).join(super::GOLDEN_DIR);
        let files = std::fs::read_dir(&folder).map_err(StoreError::io(&folder))?;
        let is_image = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending != "json");
        Ok(files.flatten().map(|file| file.path()).filter(is_image).min())
    }
}
