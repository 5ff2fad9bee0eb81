//! The model that an address names.

use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::inference::{ModelDescription, ModelStatus};
use crate::store::{ModelName, choices};

/// A model and, where the address has one, a version.
pub(crate) struct ModelTarget {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

impl ModelTarget {
    /// The version that the server chooses.
    pub(super) fn live(name: String) -> Self {
        Self { name, version: None }
    }

    pub(super) fn version((name, version): (String, String)) -> Self {
        Self { name, version: Some(version) }
    }

    /// The model, which need not answer.
    ///
    /// # Errors
    /// [`Code::ModelNotFound`], or the version is not the one that answers.
    pub(crate) fn find(&self, state: &AppState) -> Result<ModelStatus, ApiError> {
        let status = state.registry.get(&self.name).ok_or_else(|| {
            let known: Vec<ModelName> = state.registry.list().into_iter().map(|status| status.name).collect();
            let detail = format!("there is no model `{}`; {}", self.name, choices(Some(&self.name), &known));
            ApiError::new(Code::ModelNotFound, detail)
        })?;
        self.check_version(status.serving)?;
        Ok(status)
    }

    /// Whether the version of the address is the one that answers; an address without one takes any.
    ///
    /// # Errors
    /// [`Code::VersionNotServed`].
    pub(crate) fn check_version(&self, serving: Option<u32>) -> Result<(), ApiError> {
        let Some(version) = &self.version else { return Ok(()) };
        if version.parse().ok().is_some_and(|version: u32| serving == Some(version)) {
            return Ok(());
        }
        let name = &self.name;
        let answers = serving.map_or("none of its versions".to_owned(), |serving| format!("version {serving}"));
        Err(ApiError::new(
            Code::VersionNotServed,
            format!("version `{version}` of `{name}` does not answer, {answers} does"),
        ))
    }
}

/// What a classifier's version says of itself.
///
/// # Errors
/// [`Code::NotAClassifier`] for a backbone, [`Code::ModelFailed`] or [`Code::ModelLoading`] where nothing could be read yet.
pub(super) fn description(status: &ModelStatus) -> Result<(&ModelDescription, usize), ApiError> {
    let name = &status.name;
    let Some(description) = status.description.as_deref() else {
        return Err(match &status.reason {
            Some(reason) => ApiError::new(Code::ModelFailed, format!("model `{name}` cannot serve: {reason}")),
            None => ApiError::new(Code::ModelLoading, format!("model `{name}` is being loaded")),
        });
    };
    match &description.spec.labels {
        Some(labels) => Ok((description, labels.len())),
        None => {
            let detail = format!("model `{name}` is a headless backbone; graft a head onto it with `POST /finetune`");
            Err(ApiError::new(Code::NotAClassifier, detail))
        }
    }
}
