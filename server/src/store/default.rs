//! The model that answers where a request names none.

use std::fs;
use std::io;

use models::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::{ModelName, ModelStore, StoreError};

/// In the folder of all models. No model's name begins with a dot.
const DEFAULT_FILE: &str = ".default.json";

#[derive(Serialize, Deserialize)]
struct DefaultModel {
    model: Option<ModelName>,
}

impl ModelStore {
    /// The default model, if one was chosen.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the file is damaged, [`StoreError::Io`] when it cannot be read.
    pub fn default_model(&self) -> Result<Option<ModelName>, StoreError> {
        let path = self.root.join(DEFAULT_FILE);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<DefaultModel>(&bytes) {
                Ok(default) => Ok(default.model),
                Err(source) => Err(StoreError::Settings { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&path)(error)),
        }
    }

    /// Chooses the default model, or none.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is no such model.
    pub fn set_default_model(&self, model: Option<&ModelName>) -> Result<(), StoreError> {
        if let Some(name) = model {
            self.resolve(name, None)?;
        }
        let path = self.root.join(DEFAULT_FILE);
        let text = serde_json::to_vec_pretty(&DefaultModel { model: model.cloned() });
        let text = text.map_err(|source| StoreError::Settings { path: path.clone(), source })?;
        write_atomically(&path, &text).map_err(StoreError::io(&path))
    }
}
