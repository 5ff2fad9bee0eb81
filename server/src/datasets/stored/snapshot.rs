//! Snapshots: which images a data set had at a time, and their labels.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};

use models::files::AtomicFile;
use serde::Serialize;
use sqlx::Row;
use tokio::task::spawn_blocking;
use trainer::data::{FileAccess, SnapshotHeader, SnapshotId, SnapshotImage, SnapshotManifest};

use super::images::current;
use super::{DatasetName, DatasetStore, DatasetStoreError, SnapshotRecord};
use crate::database::{begin, now, number};

impl DatasetStore {
    /// A snapshot of the images as they are now: a new one, or the last if nothing has changed since.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], or because the manifest cannot be written.
    pub async fn snapshot(&self, name: &DatasetName) -> Result<SnapshotRecord, DatasetStoreError> {
        let mut transaction = begin(self.pool().await?).await?;
        let id = self.id(&mut transaction, name).await?;
        let sql = "SELECT * FROM snapshots WHERE dataset = $1 ORDER BY number DESC LIMIT 1";
        let last = sqlx::query(sql).bind(id).fetch_optional(&mut *transaction).await?;
        let sql = "SELECT revision FROM datasets WHERE id = $1";
        let revision: i64 = sqlx::query(sql).bind(id).fetch_one(&mut *transaction).await?.try_get("revision")?;
        let mut next = 1;
        if let Some(last) = last {
            if last.try_get::<i64, _>("revision")? == revision {
                return Ok(SnapshotRecord::read(&last)?);
            }
            next = number::<u32>(&last, "number")? + 1;
        }
        let images = current(&mut transaction, id).await?;
        let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
        images.iter().flat_map(SnapshotImage::labels).for_each(|label| *classes.entry(label).or_default() += 1);
        let classes = serde_json::to_string(&classes.iter().collect::<Vec<_>>())?;
        let (count, snapshot) = (images.len(), SnapshotId { dataset: name.to_string(), number: next });
        // A killed process leaves a manifest that no row names; the next snapshot of its number replaces it.
        self.write_manifest(name, snapshot, images).await?;
        sqlx::query("UPDATE images SET pinned = 1 WHERE dataset = $1 AND label IS NOT NULL AND NOT pinned")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let sql = concat!(
            "INSERT INTO snapshots (dataset, number, revision, images, classes, created_at)
             VALUES ($1, $2, $3, $4, $5, ",
            now!(),
            ") RETURNING *"
        );
        let query = sqlx::query(sql).bind(id).bind(next).bind(revision).bind(count as i64).bind(classes);
        let record = SnapshotRecord::read(&query.fetch_one(&mut *transaction).await?)?;
        transaction.commit().await?;
        Ok(record)
    }

    /// A snapshot by its number.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::UnknownSnapshot`].
    pub async fn find_snapshot(&self, name: &DatasetName, number: u32) -> Result<SnapshotRecord, DatasetStoreError> {
        let mut connection = self.pool().await?.acquire().await?;
        let id = self.id(&mut connection, name).await?;
        let query = sqlx::query("SELECT * FROM snapshots WHERE dataset = $1 AND number = $2").bind(id).bind(number);
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            return Ok(SnapshotRecord::read(&row)?);
        }
        let query = sqlx::query("SELECT MAX(number) AS latest FROM snapshots WHERE dataset = $1").bind(id);
        let latest = query.fetch_one(&mut *connection).await?.try_get("latest")?;
        Err(DatasetStoreError::UnknownSnapshot { dataset: name.clone(), number, latest })
    }

    /// The images of a snapshot.
    ///
    /// # Errors
    /// As [`find_snapshot`](Self::find_snapshot), or because the manifest is damaged.
    pub async fn snapshot_images(
        &self,
        name: &DatasetName,
        number: u32,
    ) -> Result<Vec<SnapshotImage>, DatasetStoreError> {
        self.find_snapshot(name, number).await?;
        let file = FileAccess::Everywhere.file(self.folder(name).manifest(number));
        Ok(spawn_blocking(move || SnapshotManifest::read(&file)).await??.images)
    }

    async fn write_manifest(
        &self,
        name: &DatasetName,
        snapshot: SnapshotId,
        images: Vec<SnapshotImage>,
    ) -> Result<(), DatasetStoreError> {
        let folder = self.folder(name);
        let path = folder.manifest(snapshot.number);
        let write = move || {
            let failed = DatasetStoreError::io(&path);
            fs::create_dir_all(folder.snapshots()).map_err(DatasetStoreError::io(&path))?;
            let mut file = AtomicFile::create(&path).map_err(DatasetStoreError::io(&path))?;
            let mut lines = BufWriter::new(&mut file);
            let header = SnapshotHeader { snapshot, images: images.len() as u64 };
            let written = line(&mut lines, &header).and_then(|()| images.iter().try_for_each(|i| line(&mut lines, i)));
            written.and_then(|()| lines.flush()).map_err(DatasetStoreError::io(&path))?;
            drop(lines);
            file.commit().map_err(failed)
        };
        spawn_blocking(write).await?
    }
}

fn line(to: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}
