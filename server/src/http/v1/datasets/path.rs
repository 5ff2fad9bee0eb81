//! What the addresses of data sets name. A malformed name is that of nothing.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use trainer::data::Checksum;
use utoipa::IntoParams;

use crate::datasets::DatasetName;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code};

/// A data set by its address.
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct DatasetPath {
    /// The data set's name.
    #[param(value_type = String, example = "flowers")]
    pub name: DatasetName,
}

/// An image of a data set by its address.
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ImagePath {
    /// The data set's name.
    #[param(value_type = String, example = "flowers")]
    pub name: DatasetName,
    /// The image's id.
    #[param(value_type = String)]
    pub id: Checksum,
}

impl<S: Send + Sync> FromRequestParts<S> for DatasetPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let fields = fields(parts, state).await?;
        Ok(Self { name: dataset(field(&fields, "name"))? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ImagePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let fields = fields(parts, state).await?;
        Ok(Self { name: dataset(field(&fields, "name"))?, id: image_id(field(&fields, "id"))? })
    }
}

async fn fields<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<HashMap<String, String>, ApiError> {
    let Path(fields) = Path::from_request_parts(parts, state).await?;
    Ok(fields)
}

fn field<'a>(fields: &'a HashMap<String, String>, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// Parses the name of a data set.
pub(super) fn dataset(text: &str) -> Result<DatasetName, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::DatasetNotFound, format!("there is no stored data set `{text}`")))
}

/// Parses the id of an image.
pub(super) fn image_id(text: &str) -> Result<Checksum, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::ImageNotFound, format!("there is no image `{text}`")))
}
