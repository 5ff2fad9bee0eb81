//! What the shadow of a model has counted, as a file.

use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use models::files::write_atomically;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lock::WriteLock;
use super::{ModelName, ModelStore, StoreError, read_file};

/// The file beside the versions of a model.
const SHADOW_FILE: &str = "shadow.json";

impl ModelStore {
    /// What the shadow of a model had counted when it was last saved; `None` before it was, and where the file is of another
    /// version of graft.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file cannot be read.
    pub fn shadow_record<T: DeserializeOwned>(&self, name: &ModelName) -> Result<Option<T>, StoreError> {
        let path = self.shadow_file(name);
        match read_file(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&path)(error)),
        }
    }

    /// Saves what the shadow that was decided at this time has counted, unless another was decided since.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file cannot be written.
    pub fn save_shadow(&self, name: &ModelName, decided: Timestamp, record: &impl Serialize) -> Result<(), StoreError> {
        let (folder, path) = (self.root.join(name.as_str()), self.shadow_file(name));
        let _lock = WriteLock::take(&folder).map_err(StoreError::io(&folder))?;
        if self.settings(name)?.shadow.is_none_or(|shadow| shadow.since != decided) {
            return Ok(());
        }
        let text = serde_json::to_vec(record).map_err(|error| StoreError::io(&path)(error.into()))?;
        write_atomically(&path, &text).map_err(StoreError::io(&path))
    }

    /// Removes what a shadow has counted.
    pub(super) fn forget_shadow(&self, name: &ModelName) -> Result<(), StoreError> {
        let path = self.shadow_file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(&path)(error)),
            _ => Ok(()),
        }
    }

    fn shadow_file(&self, name: &ModelName) -> PathBuf {
        self.root.join(name.as_str()).join(SHADOW_FILE)
    }
}
