//! Data sets that users make: images whose labels change, and snapshots that never do.
//!
//! A database says which data sets there are and which label each image has. A folder for each data set has the bytes,
//! by their checksums, and a manifest for each snapshot. Files come before the rows that name them, and go after them, so
//! that whoever is killed leaves at most bytes that nothing names.
//!
//! An image is in a data set once: its checksum is its id. Sent again it is there already, so that a broken request can be
//! repeated.

mod archive;
mod content;
mod edit;
mod error;
mod images;
mod import;
mod importer;
mod inbox;
mod name;
mod record;
mod schema;
mod snapshot;
#[cfg(test)]
mod tests;
mod upload;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Row, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, Notify, OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use trainer::data::DatasetFolder;
use uuid::Uuid;

use crate::config::{DataDir, DatasetLimits};
use crate::database::{self, now};
pub use archive::Archive;
pub use content::THUMBNAIL_SIDE;
pub use edit::{ImageEdit, SubsetChoice};
pub use error::DatasetStoreError;
pub use images::{Addition, ImageFilter, ImageUpload, NewImage};
pub use import::{Import, ImportError, ImportOptions, ImportReport, ImportedFiles};
pub use importer::Importer;
pub use inbox::{ClassifiedImage, Feedback, InboxImage, InboxLimits};
pub(crate) use name::file_name;
pub use name::{DatasetName, InvalidDatasetName, InvalidLabel, Label};
pub use record::{ClassCount, DatasetDetail, DatasetRecord, SnapshotRecord, StoredImage};
pub use upload::{ImportOutcome, NewUpload, Reception, UploadFile, UploadReading, UploadRecord};

/// How long a statement waits for another process's write: images of a large archive are added in one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests decode images at a time, to look at them or to make thumbnails.
const DECODERS: usize = 2;
/// The name of the folder of a data set that is deleted.
const DELETED: &str = ".deleted-";

/// The stored data sets of a data folder; cheap to clone. The database is opened when it is first needed, so that a damaged
/// one costs nothing but the data sets.
#[derive(Debug, Clone)]
pub struct DatasetStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data: DataDir,
    limits: DatasetLimits,
    pool: OnceCell<SqlitePool>,
    decoders: Semaphore,
    /// Held while images come into the inbox or go from it.
    inbox: Mutex<()>,
    /// Wakes the importer of this process when an upload is complete.
    completed: Notify,
}

impl DatasetStore {
    /// The data sets in this data folder. Nothing is opened yet.
    #[must_use]
    pub fn new(data: DataDir, limits: DatasetLimits) -> Self {
        Self(Arc::new(Inner {
            data,
            limits,
            pool: OnceCell::new(),
            decoders: Semaphore::new(DECODERS),
            inbox: Mutex::new(()),
            completed: Notify::new(),
        }))
    }

    /// How much it may hold.
    #[must_use]
    pub fn limits(&self) -> &DatasetLimits {
        &self.0.limits
    }

    /// The files of a data set, whether it is there or not.
    #[must_use]
    pub fn folder(&self, name: &DatasetName) -> DatasetFolder {
        self.0.data.dataset(name)
    }

    /// Whether any data set was ever made, told without opening the database.
    pub(super) fn is_there(&self) -> bool {
        self.0.data.datasets_database().is_file()
    }

    /// Wakes the importer: an upload is complete.
    pub fn notify_completed(&self) {
        self.0.completed.notify_one();
    }

    pub(super) async fn upload_completed(&self) {
        self.0.completed.notified().await;
    }

    /// Makes an empty data set.
    ///
    /// # Errors
    /// [`DatasetStoreError::Exists`], [`DatasetStoreError::Full`] when there are as many as may be.
    pub async fn create(&self, name: &DatasetName) -> Result<DatasetRecord, DatasetStoreError> {
        let mut transaction = database::begin(self.pool().await?).await?;
        let row = sqlx::query("SELECT id, deleted FROM datasets WHERE name = $1").bind(name.as_str());
        if let Some(row) = row.fetch_optional(&mut *transaction).await? {
            if !row.try_get::<bool, _>("deleted")? {
                return Err(DatasetStoreError::Exists(name.clone()));
            }
            self.discard(&mut transaction, row.try_get("id")?, name).await?;
        }
        let row = sqlx::query("SELECT COUNT(*) AS count FROM datasets").fetch_one(&mut *transaction).await?;
        let (count, most): (u64, u64) = (database::number(&row, "count")?, self.0.limits.datasets);
        if count >= most {
            return Err(DatasetStoreError::Full { most, of: "data sets", flag: "--max-datasets" });
        }
        let sql = concat!(
            "INSERT INTO datasets (name, created_at) VALUES ($1, ",
            now!(),
            ") RETURNING *, NULL AS latest_snapshot"
        );
        let row = sqlx::query(sql).bind(name.as_str()).fetch_one(&mut *transaction).await?;
        let record = DatasetRecord::read(&row)?;
        let folder = self.folder(name);
        for inner in [folder.images(), folder.snapshots()] {
            fs::create_dir_all(&inner).map_err(DatasetStoreError::io(&inner))?;
        }
        transaction.commit().await?;
        Ok(record)
    }

    /// All data sets, by name.
    ///
    /// # Errors
    /// [`DatasetStoreError`] when the database fails.
    pub async fn list(&self) -> Result<Vec<DatasetRecord>, DatasetStoreError> {
        let sql = "SELECT *, (SELECT MAX(number) FROM snapshots WHERE dataset = datasets.id) AS latest_snapshot
                   FROM datasets WHERE NOT deleted ORDER BY name";
        let rows = sqlx::query(sql).fetch_all(self.pool().await?).await?;
        Ok(rows.iter().map(DatasetRecord::read).collect::<Result<_, _>>()?)
    }

    /// One data set with its classes and snapshots.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`].
    pub async fn get(&self, name: &DatasetName) -> Result<DatasetDetail, DatasetStoreError> {
        // One transaction, so that the counts belong together.
        let mut transaction = self.pool().await?.begin().await?;
        let id = self.id(&mut transaction, name).await?;
        let sql = "SELECT *, (SELECT MAX(number) FROM snapshots WHERE dataset = datasets.id) AS latest_snapshot
                   FROM datasets WHERE id = $1";
        let row = sqlx::query(sql).bind(id).fetch_one(&mut *transaction).await?;
        let record = DatasetRecord::read(&row)?;
        let sql = "SELECT label, COUNT(*) AS images FROM images WHERE dataset = $1 AND label IS NOT NULL
                   GROUP BY label ORDER BY label";
        let classes = sqlx::query(sql).bind(id).fetch_all(&mut *transaction).await?;
        let sql = "SELECT * FROM snapshots WHERE dataset = $1 ORDER BY number";
        let snapshots = sqlx::query(sql).bind(id).fetch_all(&mut *transaction).await?;
        Ok(DatasetDetail {
            record,
            classes: ClassCount::of_each(&classes.iter().map(ClassCount::read).collect::<Result<Vec<_>, _>>()?),
            snapshots: snapshots.iter().map(SnapshotRecord::read).collect::<Result<_, _>>()?,
        })
    }

    /// Whether there is a data set of this name.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`] if not.
    pub async fn check(&self, name: &DatasetName) -> Result<(), DatasetStoreError> {
        self.id(&mut *self.pool().await?.acquire().await?, name).await.map(drop)
    }

    /// Deletes a data set with its images and snapshots.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`].
    pub async fn delete(&self, name: &DatasetName) -> Result<(), DatasetStoreError> {
        let pool = self.pool().await?;
        let mut transaction = database::begin(pool).await?;
        let id = self.id(&mut transaction, name).await?;
        sqlx::query("UPDATE datasets SET deleted = 1 WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        // From here on it is gone; whoever is killed now leaves the rest to the next server.
        transaction.commit().await?;
        self.finish_deletion(pool, id, name).await
    }

    /// Removes what is left of a data set, unless another process was first.
    async fn finish_deletion(&self, pool: &SqlitePool, id: i64, name: &DatasetName) -> Result<(), DatasetStoreError> {
        let mut transaction = database::begin(pool).await?;
        let row = sqlx::query("SELECT id FROM datasets WHERE id = $1 AND deleted").bind(id);
        if row.fetch_optional(&mut *transaction).await?.is_some() {
            self.discard(&mut transaction, id, name).await?;
            transaction.commit().await?;
        }
        let folder = self.0.data.datasets_dir();
        // What cannot be removed takes space and is tried again when the store is opened.
        drop(spawn_blocking(move || remove_deleted(&folder)).await);
        Ok(())
    }

    /// Renames the folder, and removes the rows. The name is free when the transaction is committed.
    async fn discard(
        &self,
        transaction: &mut SqliteConnection,
        id: i64,
        name: &DatasetName,
    ) -> Result<(), DatasetStoreError> {
        let folder = self.folder(name);
        let gone = self.0.data.datasets_dir().join(format!("{DELETED}{}", Uuid::now_v7()));
        match fs::rename(folder.path(), gone) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DatasetStoreError::io(folder.path())(error));
            }
            _ => {}
        }
        sqlx::query("DELETE FROM datasets WHERE id = $1").bind(id).execute(transaction).await?;
        Ok(())
    }

    /// The id of a data set that is there.
    async fn id(&self, connection: &mut SqliteConnection, name: &DatasetName) -> Result<i64, DatasetStoreError> {
        let row = sqlx::query("SELECT id FROM datasets WHERE name = $1 AND NOT deleted").bind(name.as_str());
        if let Some(row) = row.fetch_optional(&mut *connection).await? {
            return Ok(row.try_get("id")?);
        }
        let rows =
            sqlx::query("SELECT name FROM datasets WHERE NOT deleted ORDER BY name").fetch_all(connection).await?;
        let known = rows.iter().map(|row| row.try_get("name")).collect::<Result<_, _>>()?;
        Err(DatasetStoreError::Unknown { name: name.clone(), known })
    }

    /// The database, opened if it is not yet.
    async fn pool(&self) -> Result<&SqlitePool, DatasetStoreError> {
        self.0.pool.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> Result<SqlitePool, DatasetStoreError> {
        let (folder, path) = (self.0.data.datasets_dir(), self.0.data.datasets_database());
        fs::create_dir_all(&folder).map_err(DatasetStoreError::io(&folder))?;
        let pool = database::connect(database::connection(&path, BUSY_TIMEOUT), schema::MIGRATIONS).await?;
        for row in sqlx::query("SELECT id, name FROM datasets WHERE deleted").fetch_all(&pool).await? {
            let (id, name): (i64, String) = (row.try_get("id")?, row.try_get("name")?);
            if let Ok(name) = name.parse() {
                self.finish_deletion(&pool, id, &name).await?;
            }
        }
        Ok(pool)
    }
}

/// Removes the folders of data sets that were deleted.
fn remove_deleted(folder: &std::path::Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(DELETED) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
