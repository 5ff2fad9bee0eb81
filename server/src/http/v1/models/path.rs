//! What the addresses of models name. A malformed name is that of nothing.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;

use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code};
use crate::store::ModelName;

/// A model by its address.
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ModelPath {
    /// The model's name.
    #[param(value_type = String, example = "flowers")]
    pub name: ModelName,
}

/// A version of a model by its address.
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct VersionPath {
    /// The model's name.
    #[param(value_type = String, example = "flowers")]
    pub name: ModelName,
    /// The version's number.
    #[param(minimum = 1, example = 3)]
    pub version: u32,
}

impl<S: Send + Sync> FromRequestParts<S> for ModelPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let fields = fields(parts, state).await?;
        Ok(Self { name: name(field(&fields, "name"))? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for VersionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let fields = fields(parts, state).await?;
        let (name, text) = (name(field(&fields, "name"))?, field(&fields, "version"));
        let missing = |_| ApiError::new(Code::ModelNotFound, format!("model `{name}` has no version `{text}`"));
        let version = text.parse().map_err(missing)?;
        Ok(Self { name, version })
    }
}

async fn fields<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<HashMap<String, String>, ApiError> {
    let Path(fields) = Path::from_request_parts(parts, state).await?;
    Ok(fields)
}

fn field<'a>(fields: &'a HashMap<String, String>, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

fn name(text: &str) -> Result<ModelName, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::ModelNotFound, format!("there is no model `{text}`")))
}
