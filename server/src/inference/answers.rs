//! Answers that were given before, for images that come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::task::{JoinError, spawn_blocking};
use trainer::evaluate::TestViews;

/// What an entry takes beside its logits: the key, and the cache's own record of it.
const ENTRY: u64 = 128;
/// Logits of a thousand classes: how many entries the cache makes room for at first.
const USUAL: u64 = 4000;

/// The logits of images that models have answered, up to a number of bytes for all models together. Cheap to clone.
#[derive(Clone, Default)]
pub struct AnswerCache(Option<Arc<Answers>>);

struct Answers {
    cache: Cache<AnswerKey, Arc<[f32]>, EntryBytes>,
    models: AtomicU64,
}

/// What the answer to an image depends on: the loaded model, since nothing of it changes but the names of its classes, the
/// views, and the bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AnswerKey {
    model: u64,
    views: TestViews,
    checksum: [u8; 32],
}

#[derive(Debug, Clone)]
struct EntryBytes;

impl Weighter<AnswerKey, Arc<[f32]>> for EntryBytes {
    fn weight(&self, _: &AnswerKey, logits: &Arc<[f32]>) -> u64 {
        ENTRY + size_of_val(&**logits) as u64
    }
}

impl AnswerCache {
    /// A cache of so many bytes; `None` keeps nothing.
    #[must_use]
    pub fn new(bytes: Option<u64>) -> Self {
        let cache = |bytes| Cache::with_weighter((bytes / USUAL) as usize, bytes, EntryBytes);
        Self(bytes.map(|bytes| Arc::new(Answers { cache: cache(bytes), models: AtomicU64::new(0) })))
    }

    /// The part of it that belongs to a model that was just loaded. What other versions and variants have answered is not in it.
    pub(super) fn of_model(&self) -> ModelAnswers {
        let model = self.0.as_ref().map_or(0, |answers| answers.models.fetch_add(1, Ordering::Relaxed));
        ModelAnswers { answers: self.0.clone(), model }
    }
}

/// What one model has answered.
#[derive(Clone)]
pub(super) struct ModelAnswers {
    answers: Option<Arc<Answers>>,
    model: u64,
}

impl ModelAnswers {
    /// An image file with the key of its answer, if answers are kept. Off the threads that answer requests, since a checksum of
    /// a large file takes milliseconds.
    ///
    /// # Errors
    /// The work was not done.
    pub(super) async fn keyed<B>(&self, file: B, views: TestViews) -> Result<(B, Option<AnswerKey>), JoinError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        if self.answers.is_none() {
            return Ok((file, None));
        }
        let model = self.model;
        spawn_blocking(move || {
            let key = AnswerKey { model, views, checksum: Sha256::digest(file.as_ref()).into() };
            (file, Some(key))
        })
        .await
    }

    /// The logits of an image, if they are kept.
    pub(super) fn get(&self, key: &AnswerKey) -> Option<Vec<f32>> {
        self.answers.as_ref()?.cache.get(key).map(|logits| logits.to_vec())
    }

    /// Keeps the logits of an image; others that were not asked for lately make room.
    pub(super) fn keep(&self, key: AnswerKey, logits: &[f32]) {
        if let Some(answers) = &self.answers {
            answers.cache.insert(key, logits.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn key(model: &ModelAnswers, file: &'static [u8], views: TestViews) -> AnswerKey {
        model.keyed(file, views).await.unwrap().1.unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_that_of_one_model_for_one_file_and_its_views() {
        let cache = AnswerCache::new(Some(1 << 20));
        let (first, second) = (cache.of_model(), cache.of_model());
        first.keep(key(&first, b"image", TestViews::None).await, &[1.0, 2.0]);
        assert_eq!(first.get(&key(&first, b"image", TestViews::None).await), Some(vec![1.0, 2.0]));
        assert_eq!(first.get(&key(&first, b"image", TestViews::Flip).await), None);
        assert_eq!(first.get(&key(&first, b"another", TestViews::None).await), None);
        assert_eq!(second.get(&key(&second, b"image", TestViews::None).await), None);
    }

    #[test]
    fn what_is_kept_stays_within_its_bytes() {
        let bytes = 64 << 10;
        let cache = AnswerCache::new(Some(bytes));
        let model = cache.of_model();
        for number in 0..1000_u32 {
            let checksum = Sha256::digest(number.to_le_bytes()).into();
            model.keep(AnswerKey { model: 0, views: TestViews::None, checksum }, &[0.0; 100]);
        }
        let answers = cache.0.unwrap();
        assert!(answers.cache.weight() <= bytes, "{}", answers.cache.weight());
        // 124 entries of 528 bytes fill it.
        assert!(answers.cache.len() > 60, "{} entries", answers.cache.len());
    }

    #[tokio::test]
    async fn without_bytes_nothing_is_kept() {
        let model = AnswerCache::default().of_model();
        assert_eq!(model.keyed(b"image", TestViews::None).await.unwrap(), (b"image", None));
    }
}
