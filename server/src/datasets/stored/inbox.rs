//! Classified images that wait for the word of somebody who knows what they show.
//!
//! An image is in the folder before its row is in the database, and its row is gone before its bytes: whoever is killed leaves at
//! most bytes that nothing names.

use bytes::Bytes;
use jiff::Timestamp;
use models::preprocess::Limits;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use tokio::task::spawn_blocking;
use trainer::data::{Checksum, DatasetFolder};

use super::content::{self, WriteGuard};
use super::record::checksum;
use super::{Addition, DatasetName, DatasetStore, DatasetStoreError, ImageUpload, Label};
use crate::database::{begin, damaged, now, number, time};
use crate::jobs::Page;

/// A classified image that is to wait in the inbox.
#[derive(Debug, Clone)]
pub struct ClassifiedImage {
    /// The request that it came with.
    pub request_id: String,
    /// Its place among the images of the request, from 0.
    pub image: u32,
    /// What its file is called.
    pub file_name: Option<String>,
    /// The model that classified it.
    pub model: String,
    /// The version that answered.
    pub version: u32,
    /// The class that it was taken for.
    pub label: String,
    /// The score of that class.
    pub score: f32,
    /// The image file.
    pub bytes: Bytes,
}

/// An image that waits for a label.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxImage {
    /// Its place in the order in which images came, with gaps.
    pub id: i64,
    /// The request that it came with.
    pub request_id: String,
    /// Its place among the images of the request, from 0.
    pub image: u32,
    /// The checksum of the file.
    pub sha256: Checksum,
    /// What its file is called.
    pub file_name: Option<String>,
    /// The model that classified it.
    pub model: String,
    /// The version that answered.
    pub version: u32,
    /// The class that it was taken for.
    pub label: String,
    /// The score of that class.
    pub score: f64,
    /// The size of the file.
    pub bytes: u64,
    /// When it came.
    pub kept_at: Timestamp,
}

/// How much the inbox may hold. Beyond it, the oldest images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// The most images.
    pub images: u64,
    /// The most bytes of them.
    pub bytes: u64,
}

impl DatasetStore {
    /// Puts images into the inbox. When this returns they survive the process. The answer says of each whether it is there: one of
    /// a request and place that are there already is not put there twice, and one that is too large for the inbox not at all.
    ///
    /// # Errors
    /// [`DatasetStoreError`] when the disk or the database fails.
    pub async fn keep(
        &self,
        images: Vec<ClassifiedImage>,
        limits: InboxLimits,
    ) -> Result<Vec<bool>, DatasetStoreError> {
        let folder = self.inbox_folder();
        let _one_at_a_time = self.0.inbox.lock().await;
        let work = spawn_blocking(move || {
            let root = folder.images();
            std::fs::create_dir_all(&root).map_err(DatasetStoreError::io(&root))?;
            let guard = WriteGuard::take(&folder)?;
            let put = |image: &ClassifiedImage| content::put(&folder, &image.bytes);
            let written = images.iter().map(put).collect::<Result<Vec<Checksum>, _>>()?;
            content::settle(&folder, &written)?;
            Ok::<_, DatasetStoreError>((images, written, guard))
        });
        let (images, written, guard) = work.await??;
        let mut transaction = begin(self.pool().await?).await?;
        let mut kept = Vec::with_capacity(images.len());
        for (image, sha256) in images.iter().zip(&written) {
            kept.push(image.bytes.len() as u64 <= limits.bytes && insert(&mut transaction, image, sha256).await?);
        }
        let evicted = evict(&mut transaction, limits).await?;
        transaction.commit().await?;
        drop(guard);
        self.sweep_inbox(evicted.into_iter().chain(written).collect()).await?;
        Ok(kept)
    }

    /// A page of the inbox, oldest first.
    ///
    /// # Errors
    /// [`DatasetStoreError`] when the database fails.
    pub async fn inbox(&self, after: i64, limit: usize) -> Result<Page<InboxImage>, DatasetStoreError> {
        let query = sqlx::query("SELECT * FROM inbox WHERE id > $1 ORDER BY id LIMIT $2").bind(after);
        let rows = query.bind(limit as i64 + 1).fetch_all(self.pool().await?).await?;
        Ok(Page::cut(rows.iter().map(InboxImage::read).collect::<Result<_, _>>()?, limit))
    }

    /// One image of the inbox.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownInboxImage`].
    pub async fn inbox_image(&self, id: i64) -> Result<InboxImage, DatasetStoreError> {
        let query = sqlx::query("SELECT * FROM inbox WHERE id = $1").bind(id);
        let row = query.fetch_optional(self.pool().await?).await?;
        let unknown = || DatasetStoreError::UnknownInboxImage(format!("number {id}"));
        Ok(InboxImage::read(&row.ok_or_else(unknown)?)?)
    }

    /// The file of an image of the inbox.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownInboxImage`].
    pub async fn inbox_file(&self, id: i64) -> Result<std::path::PathBuf, DatasetStoreError> {
        Ok(self.inbox_folder().image(&self.inbox_image(id).await?.sha256))
    }

    /// Removes an image from the inbox.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownInboxImage`].
    pub async fn discard_inbox_image(&self, id: i64) -> Result<(), DatasetStoreError> {
        let image = self.inbox_image(id).await?;
        let _one_at_a_time = self.0.inbox.lock().await;
        let mut transaction = begin(self.pool().await?).await?;
        sqlx::query("DELETE FROM inbox WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        self.sweep_inbox(vec![image.sha256]).await
    }

    /// Moves an image from the inbox to a data set, under this label. Whoever is killed in between finds it in both, and the same
    /// word again puts that right.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownInboxImage`], and as [`add`](Self::add).
    pub async fn take_from_inbox(
        &self,
        feedback: &Feedback<'_>,
        limits: Limits,
    ) -> Result<(InboxImage, Addition), DatasetStoreError> {
        let Feedback { dataset, request_id, image, label } = *feedback;
        let query = sqlx::query("SELECT * FROM inbox WHERE request_id = $1 AND image = $2").bind(request_id);
        let row = query.bind(image).fetch_optional(self.pool().await?).await?;
        let unknown = || DatasetStoreError::UnknownInboxImage(format!("{image} of the request `{request_id}`"));
        let entry = InboxImage::read(&row.ok_or_else(unknown)?)?;
        match self.create(dataset).await {
            Ok(_) | Err(DatasetStoreError::Exists(_)) => {}
            Err(error) => return Err(error),
        }
        let path = self.inbox_folder().image(&entry.sha256);
        let read = spawn_blocking(move || std::fs::read(&path).map_err(DatasetStoreError::io(&path)));
        let bytes = Bytes::from(read.await??);
        let upload = ImageUpload { label: label.clone(), file_name: entry.file_name.clone(), subset: None, bytes };
        let added = self.add(dataset, vec![upload], limits).await?.pop();
        let Some(addition) = added.transpose()? else { return Err(unknown()) };
        if !matches!(addition, Addition::LabeledOtherwise { .. }) {
            self.discard_inbox_image(entry.id).await?;
        }
        Ok((entry, addition))
    }

    fn inbox_folder(&self) -> DatasetFolder {
        self.0.data.inbox()
    }

    /// Removes the bytes of images that are not in the inbox any more.
    async fn sweep_inbox(&self, images: Vec<Checksum>) -> Result<(), DatasetStoreError> {
        let folder = self.inbox_folder();
        let sql = "SELECT value AS sha256 FROM json_each($1) WHERE value NOT IN (SELECT sha256 FROM inbox)";
        let rows = sqlx::query(sql).bind(serde_json::to_string(&images)?).fetch_all(self.pool().await?).await?;
        let orphans: Vec<Checksum> = rows.iter().map(checksum).collect::<Result<_, _>>()?;
        if orphans.is_empty() {
            return Ok(());
        }
        let remove = spawn_blocking(move || {
            // Another process that is putting images there may be putting these.
            let Some(guard) = WriteGuard::take_alone(&folder)? else { return Ok(()) };
            orphans.iter().for_each(|image| content::remove(&folder, image));
            drop(guard);
            Ok(())
        });
        remove.await?
    }
}

/// The word about an image of the inbox.
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    /// The data set that gets the image, made if it is not there.
    pub dataset: &'a DatasetName,
    /// The request that the image came with.
    pub request_id: &'a str,
    /// Its place among the images of the request, from 0.
    pub image: u32,
    /// What it shows.
    pub label: &'a Label,
}

async fn insert(
    connection: &mut SqliteConnection,
    image: &ClassifiedImage,
    sha256: &Checksum,
) -> Result<bool, DatasetStoreError> {
    let sql = concat!(
        "INSERT INTO inbox (request_id, image, sha256, file_name, model, version, label, score, bytes, kept_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ",
        now!(),
        ") ON CONFLICT (request_id, image) DO NOTHING"
    );
    let query = sqlx::query(sql).bind(&image.request_id).bind(image.image).bind(sha256.to_string());
    let query = query.bind(&image.file_name).bind(&image.model).bind(image.version).bind(&image.label);
    let query = query.bind(f64::from(image.score)).bind(image.bytes.len() as i64);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Removes the oldest images beyond the limits.
async fn evict(connection: &mut SqliteConnection, limits: InboxLimits) -> Result<Vec<Checksum>, DatasetStoreError> {
    let sql = "DELETE FROM inbox WHERE id IN (
                   SELECT id FROM (SELECT id, COUNT(*) OVER newest AS images, SUM(bytes) OVER newest AS total FROM inbox
                                   WINDOW newest AS (ORDER BY id DESC))
                   WHERE images > $1 OR total > $2)
               RETURNING sha256";
    let query = sqlx::query(sql).bind(limits.images.cast_signed()).bind(limits.bytes.cast_signed());
    let rows = query.fetch_all(connection).await?;
    Ok(rows.iter().map(checksum).collect::<Result<_, sqlx::Error>>()?)
}

impl InboxImage {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            request_id: row.try_get("request_id")?,
            image: number(row, "image")?,
            sha256: checksum(row)?,
            file_name: row.try_get("file_name")?,
            model: row.try_get("model")?,
            version: number(row, "version")?,
            label: row.try_get("label")?,
            score: row.try_get("score")?,
            bytes: number(row, "bytes")?,
            kept_at: time(row, "kept_at")?.ok_or_else(|| damaged("kept_at", "null"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use models::preprocess::test_card;

    use super::*;
    use crate::config::{DataDir, DatasetLimits};

    const ROOM: InboxLimits = InboxLimits { images: 3, bytes: 1 << 20 };

    fn store(folder: &tempfile::TempDir) -> DatasetStore {
        DatasetStore::new(DataDir::new(folder.path()), DatasetLimits::unlimited())
    }

    fn image(request: &str, seed: u64) -> ClassifiedImage {
        ClassifiedImage {
            request_id: request.to_owned(),
            image: 0,
            file_name: Some("a.png".to_owned()),
            model: "flowers".to_owned(),
            version: 2,
            label: "rose".to_owned(),
            score: 0.5,
            bytes: test_card(seed, 12, 8).into(),
        }
    }

    async fn requests(store: &DatasetStore) -> Vec<String> {
        store.inbox(0, 10).await.unwrap().data.into_iter().map(|image| image.request_id).collect()
    }

    fn files(folder: &tempfile::TempDir) -> usize {
        let images = DataDir::new(folder.path()).inbox().images();
        let rooms = std::fs::read_dir(images).into_iter().flatten().flatten();
        rooms.flat_map(|room| std::fs::read_dir(room.path()).into_iter().flatten().flatten()).count()
    }

    #[tokio::test]
    async fn the_inbox_survives_the_process_and_its_oldest_images_make_room() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(store(&folder).keep(vec![image("a", 1), image("b", 2)], ROOM).await.unwrap(), [true, true]);
        let again = store(&folder);
        assert_eq!(requests(&again).await, ["a", "b"]);
        again.keep(vec![image("c", 3), image("d", 4)], ROOM).await.unwrap();
        assert_eq!((requests(&again).await, files(&folder)), (vec!["b".into(), "c".into(), "d".into()], 3));
        let one = InboxLimits { bytes: image("d", 4).bytes.len() as u64, ..ROOM };
        assert_eq!(again.keep(vec![image("d", 4)], one).await.unwrap(), [false], "it is there already");
        assert_eq!((requests(&again).await, files(&folder)), (vec!["d".into()], 1), "bytes are bounded too");
        let none = InboxLimits { bytes: 10, ..ROOM };
        assert_eq!(again.keep(vec![image("e", 5)], none).await.unwrap(), [false]);
        assert_eq!(files(&folder), 0);
    }

    #[tokio::test]
    async fn an_image_of_two_requests_stays_until_both_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        store.keep(vec![image("a", 1), image("b", 1)], ROOM).await.unwrap();
        let ids: Vec<i64> = store.inbox(0, 10).await.unwrap().data.iter().map(|image| image.id).collect();
        store.discard_inbox_image(ids[0]).await.unwrap();
        assert_eq!(files(&folder), 1);
        store.discard_inbox_image(ids[1]).await.unwrap();
        assert_eq!(files(&folder), 0);
        let gone = store.discard_inbox_image(ids[1]).await;
        assert!(matches!(gone, Err(DatasetStoreError::UnknownInboxImage(_))));
    }

    #[tokio::test]
    async fn the_word_about_an_image_puts_it_into_the_next_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let (dataset, rose, tulip) = ("corrected".parse().unwrap(), "rose".parse().unwrap(), "tulip".parse().unwrap());
        store.keep(vec![image("a", 1), image("b", 1)], ROOM).await.unwrap();
        let word = |request_id, label| Feedback { dataset: &dataset, request_id, image: 0, label };
        let (entry, added) = store.take_from_inbox(&word("a", &tulip), Limits::default()).await.unwrap();
        assert_eq!((entry.label.as_str(), added), ("rose", Addition::Added(entry.sha256)));
        let snapshot = store.snapshot(&dataset).await.unwrap();
        assert_eq!((snapshot.number, snapshot.images, snapshot.classes[0].label.as_str()), (1, 1, "tulip"));
        let other = store.take_from_inbox(&word("b", &rose), Limits::default()).await.unwrap().1;
        assert!(matches!(other, Addition::LabeledOtherwise { label, .. } if label == "tulip"));
        assert_eq!(requests(&store).await, ["b"], "what is contradicted waits");
        store.take_from_inbox(&word("b", &tulip), Limits::default()).await.unwrap();
        let gone = store.take_from_inbox(&word("b", &tulip), Limits::default()).await;
        assert!(matches!(gone, Err(DatasetStoreError::UnknownInboxImage(_))));
    }
}
