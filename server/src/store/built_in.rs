//! Models that come with the program.

use super::publish::Terms;
use super::{Artifacts, Availability, ModelName, ModelStore, StoreError};

/// What has to be done about the model that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltInState {
    /// Nothing: it is there, or the name is a model's of the user's, which stays what it is.
    Settled,
    /// It has to be published: there is none, or it came with another version of the program.
    Missing,
    /// It is published and does not answer yet: the process that published it was killed before.
    Unfinished,
}

impl ModelStore {
    /// How the model of this name stands to the file inside the program.
    ///
    /// # Errors
    /// [`StoreError::Settings`], [`StoreError::Io`] when its folder cannot be read.
    pub fn built_in_state(&self, name: &ModelName, checksum: &str) -> Result<BuiltInState, StoreError> {
        let versions = self.versions(name)?;
        Ok(match self.settings(name)?.built_in {
            Some(built_in) if built_in.checksum != checksum || !versions.contains(&built_in.version) => {
                BuiltInState::Missing
            }
            Some(built_in) if built_in.unfinished => BuiltInState::Unfinished,
            None if versions.is_empty() => BuiltInState::Missing,
            Some(_) | None => BuiltInState::Settled,
        })
    }

    /// Publishes the model that comes with the program. It is [`BuiltInState::Unfinished`] until
    /// [`finish_built_in`](Self::finish_built_in). Nobody else can publish under its name.
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
        self.publish_with(name, artifacts, terms)
    }

    /// Gives a published model of the program its notes and lets it answer in the place of an older one, unless that was done or
    /// somebody has chosen a version since.
    ///
    /// # Errors
    /// As [`set_live`](Self::set_live) and [`set_notes`](Self::set_notes).
    pub fn finish_built_in(&self, name: &ModelName, notes: &str) -> Result<(), StoreError> {
        let Some(built_in) = self.settings(name)?.built_in.filter(|built_in| built_in.unfinished) else {
            return Ok(());
        };
        self.set_notes(name, notes)?;
        // The last step, because it says that all is done.
        self.set_live(name, built_in.version)
    }

    /// # Errors
    /// [`StoreError::BuiltIn`] for a model that came with the program.
    pub fn refuse_built_in(&self, name: &ModelName) -> Result<(), StoreError> {
        match self.settings(name)?.built_in {
            Some(_) => Err(StoreError::BuiltIn { name: name.clone() }),
            None => Ok(()),
        }
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
