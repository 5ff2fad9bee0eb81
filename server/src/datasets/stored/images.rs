//! The images of a data set as they are now.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use bytes::Bytes;
use models::preprocess::{ImageError, Limits, decode};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use tokio::task::spawn_blocking;
use trainer::data::{Checksum, SnapshotImage, Subset};

use super::content::{self, WriteGuard};
use super::record::{StoredImage, checksum, subset};
use super::{DatasetName, DatasetStore, DatasetStoreError, Label};
use crate::database::{begin, now, number};
use crate::jobs::Page;

/// How many rows are written in one statement.
const ROWS: usize = 10_000;

/// A file that is to become an image of a data set.
#[derive(Debug, Clone)]
pub struct ImageUpload {
    /// The class, or several.
    pub label: Label,
    /// What the file is called.
    pub file_name: Option<String>,
    /// The subset that it is given to.
    pub subset: Option<Subset>,
    /// Its content.
    pub bytes: Bytes,
}

/// An image whose bytes are in the folder of its data set already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewImage {
    /// The checksum of the file.
    pub sha256: Checksum,
    /// The class, or several.
    pub label: Label,
    /// What the file is called.
    pub file_name: Option<String>,
    /// The subset that it is given to.
    #[serde(serialize_with = "subset_name")]
    pub subset: Option<Subset>,
    /// The size of the file.
    pub bytes: u64,
    /// In pixels, upright.
    pub width: u32,
    /// In pixels, upright.
    pub height: u32,
}

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addition {
    /// It is new.
    Added(Checksum),
    /// It was there already with this label.
    Present(Checksum),
    /// It was there already with another label, which it keeps.
    LabeledOtherwise {
        /// The checksum by which it is known.
        sha256: Checksum,
        /// The label under which it stays.
        label: String,
    },
}

/// Which images a page has.
#[derive(Debug, Clone, Copy)]
pub struct ImageFilter<'a> {
    /// Those of this class alone.
    pub label: Option<&'a str>,
    /// Those behind this place, which is the `seq` of an image; 0 for all.
    pub after: i64,
    /// So many at most.
    pub limit: usize,
}

impl DatasetStore {
    /// Decodes files and adds those that are images. An answer for each, in order; an error is one of all.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::Full`]; nothing is added then.
    pub async fn add(
        &self,
        name: &DatasetName,
        uploads: Vec<ImageUpload>,
        limits: Limits,
    ) -> Result<Vec<Result<Addition, ImageError>>, DatasetStoreError> {
        let id = self.id(&mut *self.pool().await?.acquire().await?, name).await?;
        let folder = self.folder(name);
        let permit = self.0.decoders.acquire().await;
        let work = spawn_blocking(move || {
            let guard = WriteGuard::take(&folder)?;
            let store = |upload: ImageUpload| match decode(&upload.bytes, &limits) {
                Err(error) => Ok(Err(error)),
                Ok(image) => Ok(Ok(NewImage {
                    sha256: content::put(&folder, &upload.bytes)?,
                    label: upload.label,
                    file_name: upload.file_name,
                    subset: upload.subset,
                    bytes: upload.bytes.len() as u64,
                    width: image.width(),
                    height: image.height(),
                })),
            };
            let files = uploads.into_iter().map(store).collect::<Result<Vec<_>, DatasetStoreError>>()?;
            let written: Vec<Checksum> = files.iter().flatten().map(|image| image.sha256).collect();
            content::settle(&folder, &written)?;
            Ok::<_, DatasetStoreError>((files, guard))
        });
        let (files, guard) = match work.await? {
            Ok(files) => files,
            Err(error) => {
                // Without its data set a folder is gone, which is no failure of the disk.
                self.check(name).await?;
                return Err(error);
            }
        };
        drop(permit);
        let images: Vec<NewImage> = files.iter().flatten().cloned().collect();
        let inserted = self.insert(id, name, &images).await;
        drop(guard);
        if inserted.is_err() {
            self.sweep(name, images.iter().map(|image| image.sha256).collect()).await?;
        }
        let mut additions = inserted?.into_iter();
        // As many additions as files that decode.
        Ok(files.into_iter().filter_map(|file| file.map(|_| additions.next()).transpose()).collect())
    }

    /// Names images whose bytes are in the folder, all of them at once.
    pub(super) async fn insert(
        &self,
        id: i64,
        name: &DatasetName,
        images: &[NewImage],
    ) -> Result<Vec<Addition>, DatasetStoreError> {
        let mut transaction = begin(self.pool().await?).await?;
        let row = sqlx::query("SELECT images, bytes FROM datasets WHERE id = $1 AND NOT deleted").bind(id);
        let Some(row) = row.fetch_optional(&mut *transaction).await? else {
            return Err(DatasetStoreError::Unknown { name: name.clone(), known: vec![] });
        };
        let (mut count, mut bytes): (u64, u64) = (number(&row, "images")?, number(&row, "bytes")?);
        let mut additions = Vec::with_capacity(images.len());
        for chunk in images.chunks(ROWS) {
            let mut labels = labels(&mut transaction, id, chunk).await?;
            let mut new = Vec::new();
            for image in chunk {
                let sha256 = image.sha256;
                additions.push(match labels.get(&sha256) {
                    Some(label) if label == image.label.as_str() => Addition::Present(sha256),
                    Some(label) => Addition::LabeledOtherwise { sha256, label: label.clone() },
                    None => {
                        labels.insert(sha256, image.label.to_string());
                        (count, bytes) = (count + 1, bytes + image.bytes);
                        new.push(image);
                        Addition::Added(sha256)
                    }
                });
            }
            let sql = concat!(
                "INSERT INTO images (dataset, sha256, label, file_name, subset, bytes, width, height, added_at)
                 SELECT $1, value ->> 'sha256', value ->> 'label', value ->> 'file_name', value ->> 'subset',
                        value ->> 'bytes', value ->> 'width', value ->> 'height', ",
                now!(),
                " FROM json_each($2) WHERE TRUE
                 ON CONFLICT (dataset, sha256) DO UPDATE SET label = excluded.label, file_name = excluded.file_name,
                    subset = excluded.subset, added_at = excluded.added_at"
            );
            sqlx::query(sql).bind(id).bind(serde_json::to_string(&new)?).execute(&mut *transaction).await?;
        }
        let limits = self.limits();
        for (found, most, of, flag) in [
            (count, limits.images, "images in the data set", "--max-dataset-images"),
            (bytes, limits.bytes, "bytes in the data set", "--max-dataset-gb"),
        ] {
            if found > most {
                return Err(DatasetStoreError::Full { most, of, flag });
            }
        }
        let added = additions.iter().any(|addition| matches!(addition, Addition::Added(_)));
        let sql = "UPDATE datasets SET images = $2, bytes = $3, revision = revision + $4 WHERE id = $1";
        let update = sqlx::query(sql).bind(id).bind(count.cast_signed()).bind(bytes.cast_signed()).bind(added);
        update.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(additions)
    }

    /// A page of the images, in the order in which they came.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`].
    pub async fn images(
        &self,
        name: &DatasetName,
        filter: &ImageFilter<'_>,
    ) -> Result<Page<StoredImage>, DatasetStoreError> {
        let mut connection = self.pool().await?.acquire().await?;
        let id = self.id(&mut connection, name).await?;
        let query = match filter.label {
            None => sqlx::query(
                "SELECT * FROM images WHERE dataset = $1 AND seq > $2 AND label IS NOT NULL ORDER BY seq LIMIT $3",
            ),
            Some(_) => {
                // Labels hold no slash, which stands between several.
                sqlx::query(
                    "SELECT * FROM images WHERE dataset = $1 AND seq > $2
                     AND (label = $4 OR instr('/' || label || '/', '/' || $4 || '/') > 0) ORDER BY seq LIMIT $3",
                )
            }
        };
        let query = query.bind(id).bind(filter.after).bind(filter.limit as i64 + 1);
        let query = if let Some(label) = filter.label { query.bind(label) } else { query };
        let rows = query.fetch_all(&mut *connection).await?;
        Ok(Page::cut(rows.iter().map(StoredImage::read).collect::<Result<_, _>>()?, filter.limit))
    }

    /// One image.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::UnknownImage`].
    pub async fn image(&self, name: &DatasetName, sha256: Checksum) -> Result<StoredImage, DatasetStoreError> {
        let mut connection = self.pool().await?.acquire().await?;
        let id = self.id(&mut connection, name).await?;
        StoredImage::read(&row(&mut connection, id, name, sha256).await?).map_err(DatasetStoreError::from)
    }

    /// The file of an image.
    ///
    /// # Errors
    /// As [`image`](Self::image).
    pub async fn file(&self, name: &DatasetName, sha256: Checksum) -> Result<PathBuf, DatasetStoreError> {
        Ok(self.folder(name).image(&self.image(name, sha256).await?.sha256))
    }

    /// A small JPEG of an image, made when it is first asked for.
    ///
    /// # Errors
    /// As [`image`](Self::image), or because it is larger than the limits.
    pub async fn thumbnail(
        &self,
        name: &DatasetName,
        sha256: Checksum,
        limits: Limits,
    ) -> Result<Vec<u8>, DatasetStoreError> {
        self.image(name, sha256).await?;
        let _permit = self.0.decoders.acquire().await;
        let folder = self.folder(name);
        spawn_blocking(move || content::thumbnail_of(&folder, &sha256, &limits)).await?
    }

    /// Removes images, all of them or none. Snapshots keep them.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub async fn remove(&self, name: &DatasetName, images: &[Checksum]) -> Result<(), DatasetStoreError> {
        let mut transaction = begin(self.pool().await?).await?;
        let id = self.id(&mut transaction, name).await?;
        let mut unpinned = Vec::new();
        // An image that is named twice is there once.
        for &sha256 in images.iter().collect::<BTreeSet<_>>() {
            let row = row(&mut transaction, id, name, sha256).await?;
            let (image, pinned) = (StoredImage::read(&row)?, row.try_get("pinned")?);
            let sql = if pinned {
                "UPDATE images SET label = NULL WHERE seq = $1"
            } else {
                unpinned.push(sha256);
                "DELETE FROM images WHERE seq = $1"
            };
            sqlx::query(sql).bind(image.seq).execute(&mut *transaction).await?;
            let sql =
                "UPDATE datasets SET images = images - 1, bytes = bytes - $2, revision = revision + 1 WHERE id = $1";
            sqlx::query(sql).bind(id).bind(image.bytes.cast_signed()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        if unpinned.is_empty() { Ok(()) } else { self.sweep(name, unpinned).await }
    }

    /// The images as they are now, by label and then by checksum.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`].
    pub async fn content(&self, name: &DatasetName) -> Result<Vec<SnapshotImage>, DatasetStoreError> {
        let mut connection = self.pool().await?.acquire().await?;
        let id = self.id(&mut connection, name).await?;
        current(&mut connection, id).await
    }

    /// Removes the bytes of images that no row names, unless somebody is adding images: they may be among those.
    pub(super) async fn sweep(&self, name: &DatasetName, images: Vec<Checksum>) -> Result<(), DatasetStoreError> {
        let folder = self.folder(name);
        let (taken, here) = (folder.clone(), folder.path().is_dir());
        let guard = spawn_blocking(move || if here { WriteGuard::take_alone(&taken) } else { Ok(None) }).await??;
        let Some(guard) = guard else { return Ok(()) };
        let sql = "SELECT value AS sha256 FROM json_each($2)
                   WHERE value NOT IN (SELECT sha256 FROM images WHERE dataset =
                       (SELECT id FROM datasets WHERE name = $1 AND NOT deleted))";
        // By name, as the folder is: whoever added them may have begun before the data set was deleted and made again.
        let query = sqlx::query(sql).bind(name.as_str()).bind(serde_json::to_string(&images)?);
        let rows = query.fetch_all(self.pool().await?).await?;
        let orphans: Vec<Checksum> = rows.iter().map(checksum).collect::<Result<_, _>>()?;
        spawn_blocking(move || {
            orphans.iter().for_each(|image| content::remove(&folder, image));
            drop(guard);
        })
        .await?;
        Ok(())
    }
}

/// The row of an image of the data set that has this key and this name.
pub(super) async fn row(
    connection: &mut SqliteConnection,
    id: i64,
    name: &DatasetName,
    sha256: Checksum,
) -> Result<SqliteRow, DatasetStoreError> {
    let sql = "SELECT * FROM images WHERE dataset = $1 AND sha256 = $2 AND label IS NOT NULL";
    let row = sqlx::query(sql).bind(id).bind(sha256.to_string()).fetch_optional(connection).await?;
    row.ok_or_else(|| DatasetStoreError::UnknownImage { dataset: name.clone(), sha256 })
}

/// The labels that some of these images have already.
async fn labels(
    connection: &mut SqliteConnection,
    id: i64,
    images: &[NewImage],
) -> Result<HashMap<Checksum, String>, DatasetStoreError> {
    let names: Vec<Checksum> = images.iter().map(|image| image.sha256).collect();
    let sql = "SELECT sha256, label FROM images WHERE dataset = $1 AND label IS NOT NULL
               AND sha256 IN (SELECT value FROM json_each($2))";
    let rows = sqlx::query(sql).bind(id).bind(serde_json::to_string(&names)?).fetch_all(connection).await?;
    let label = |row: &SqliteRow| Ok((checksum(row)?, row.try_get("label")?));
    Ok(rows.iter().map(label).collect::<Result<_, sqlx::Error>>()?)
}

/// The images of a data set, by label and then by checksum, so that equal images are in equal order.
pub(super) async fn current(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Vec<SnapshotImage>, DatasetStoreError> {
    let sql = "SELECT sha256, label, file_name, subset FROM images WHERE dataset = $1 AND label IS NOT NULL
               ORDER BY label, sha256";
    let rows = sqlx::query(sql).bind(id).fetch_all(connection).await?;
    let image = |row: &SqliteRow| {
        Ok(SnapshotImage {
            sha256: checksum(row)?,
            label: row.try_get("label")?,
            file_name: row.try_get("file_name")?,
            subset: subset(row)?,
        })
    };
    Ok(rows.iter().map(image).collect::<Result<_, sqlx::Error>>()?)
}

fn subset_name<S: serde::Serializer>(subset: &Option<Subset>, serializer: S) -> Result<S::Ok, S::Error> {
    subset.map(Subset::name).serialize(serializer)
}
