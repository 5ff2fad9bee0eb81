//! Rows of the database.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use trainer::data::{Checksum, Subset, labels_of};
use utoipa::ToSchema;

use crate::database::{damaged, number, time};

/// A stored data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoredDataset)]
pub struct DatasetRecord {
    /// What requests call it.
    #[schema(example = "flowers")]
    pub name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:32.104Z")]
    pub created_at: Timestamp,
    /// How many images it has now.
    #[schema(example = 1360)]
    pub images: u64,
    /// The sum of the images' sizes.
    #[schema(example = 58_230_144)]
    pub bytes: u64,
    /// The number of its newest snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 2)]
    pub latest_snapshot: Option<u32>,
}

/// A stored data set with its classes and snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetDetail {
    /// The data set.
    pub record: DatasetRecord,
    /// The labels of its images, sorted.
    pub classes: Vec<ClassCount>,
    /// Oldest first.
    pub snapshots: Vec<SnapshotRecord>,
}

/// A class of a stored data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClassCount {
    /// The class's name.
    #[schema(example = "tulip")]
    pub label: String,
    /// How many images have it, alone or with others.
    #[schema(example = 80)]
    pub images: u64,
}

/// A snapshot of a stored data set: which images it had at a time, and their labels. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DatasetSnapshot)]
pub struct SnapshotRecord {
    /// Its number, from 1.
    #[schema(example = 3)]
    pub number: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:32.104Z")]
    pub created_at: Timestamp,
    /// How many images it has.
    #[schema(example = 1360)]
    pub images: u64,
    /// The labels of its images, sorted.
    pub classes: Vec<ClassCount>,
}

/// An image of a stored data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The place in the order in which images came.
    pub seq: i64,
    /// The checksum of the file, which is the image's id.
    pub sha256: Checksum,
    /// The class. Several are sorted, with slashes between; a slash alone is none.
    pub label: String,
    /// What the file was called.
    pub file_name: Option<String>,
    /// The subset that it was given to.
    pub subset: Option<Subset>,
    /// The size of the file.
    pub bytes: u64,
    /// In pixels, upright.
    pub width: u32,
    /// In pixels, upright.
    pub height: u32,
    /// When it came.
    pub added_at: Timestamp,
}

impl DatasetRecord {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            created_at: required_time(row, "created_at")?,
            images: number(row, "images")?,
            bytes: number(row, "bytes")?,
            latest_snapshot: row.try_get("latest_snapshot")?,
        })
    }
}

impl ClassCount {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self { label: row.try_get("label")?, images: number(row, "images")? })
    }

    /// Of each class, from counts of images that may have several; sorted.
    pub(super) fn of_each(combined: &[Self]) -> Vec<Self> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for Self { label, images } in combined {
            labels_of(label).for_each(|label| *counts.entry(label.to_owned()).or_default() += images);
        }
        counts.into_iter().map(|(label, images)| Self { label, images }).collect()
    }
}

impl SnapshotRecord {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let classes: String = row.try_get("classes")?;
        let classes: Vec<(String, u64)> =
            serde_json::from_str(&classes).map_err(|error| damaged("classes", &error.to_string()))?;
        Ok(Self {
            number: number(row, "number")?,
            created_at: required_time(row, "created_at")?,
            images: number(row, "images")?,
            classes: classes.into_iter().map(|(label, images)| ClassCount { label, images }).collect(),
        })
    }
}

impl StoredImage {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            sha256: checksum(row)?,
            label: row.try_get("label")?,
            file_name: row.try_get("file_name")?,
            subset: subset(row)?,
            bytes: number(row, "bytes")?,
            width: number(row, "width")?,
            height: number(row, "height")?,
            added_at: required_time(row, "added_at")?,
        })
    }
}

pub(super) fn checksum(row: &SqliteRow) -> Result<Checksum, sqlx::Error> {
    let text: String = row.try_get("sha256")?;
    text.parse().map_err(|_| damaged("sha256", &text))
}

pub(super) fn subset(row: &SqliteRow) -> Result<Option<Subset>, sqlx::Error> {
    let name: Option<String> = row.try_get("subset")?;
    let subset = |name: String| {
        let subsets = [Subset::Train, Subset::Validation, Subset::Test];
        subsets.into_iter().find(|subset| subset.name() == name).ok_or_else(|| damaged("subset", &name))
    };
    name.map(subset).transpose()
}

fn required_time(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    time(row, column)?.ok_or_else(|| damaged(column, "null"))
}
