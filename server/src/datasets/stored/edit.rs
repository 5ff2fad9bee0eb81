//! Changes of images: another label, another subset.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use trainer::data::{Checksum, Subset};
use utoipa::ToSchema;

use super::images::row;
use super::record::StoredImage;
use super::{DatasetName, DatasetStore, DatasetStoreError, Label};
use crate::database::begin;

/// Which images an image is among.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum SubsetChoice {
    /// Those that are trained on.
    Train,
    /// Those that choose the best epoch.
    Validation,
    /// Those that measure the result.
    Test,
    /// None of them: the seed of each run decides.
    None,
}

/// A change of images. What is missing stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageEdit<'a> {
    /// Another label.
    pub label: Option<&'a Label>,
    /// Another subset.
    pub subset: Option<SubsetChoice>,
}

impl SubsetChoice {
    fn subset(self) -> Option<Subset> {
        match self {
            Self::Train => Some(Subset::Train),
            Self::Validation => Some(Subset::Validation),
            Self::Test => Some(Subset::Test),
            Self::None => None,
        }
    }
}

impl DatasetStore {
    /// Changes images, all of them or none, and answers what they are then. Snapshots keep what they were.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::UnknownImage`] naming the first that is not there.
    pub async fn edit(
        &self,
        name: &DatasetName,
        images: &[Checksum],
        edit: &ImageEdit<'_>,
    ) -> Result<Vec<StoredImage>, DatasetStoreError> {
        let mut transaction = begin(self.pool().await?).await?;
        let id = self.id(&mut transaction, name).await?;
        let (mut edited, mut changes) = (Vec::with_capacity(images.len()), 0);
        for &sha256 in images {
            let image = StoredImage::read(&row(&mut transaction, id, name, sha256).await?)?;
            let new = edit.apply(&image);
            if new != image {
                write(&mut transaction, &new).await?;
                changes += 1;
            }
            edited.push(new);
        }
        if changes > 0 {
            let sql = "UPDATE datasets SET revision = revision + 1 WHERE id = $1";
            sqlx::query(sql).bind(id).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        Ok(edited)
    }
}

impl ImageEdit<'_> {
    fn apply(&self, image: &StoredImage) -> StoredImage {
        StoredImage {
            label: self.label.map_or_else(|| image.label.clone(), ToString::to_string),
            subset: self.subset.map_or(image.subset, SubsetChoice::subset),
            ..image.clone()
        }
    }
}

async fn write(connection: &mut SqliteConnection, image: &StoredImage) -> Result<(), DatasetStoreError> {
    let query = sqlx::query("UPDATE images SET label = $2, subset = $3 WHERE seq = $1").bind(image.seq);
    query.bind(&image.label).bind(image.subset.map(Subset::name)).execute(connection).await?;
    Ok(())
}
