//! Decoding and resizing, off the threads that answer requests.

use std::num::NonZeroUsize;
use std::sync::Arc;

use models::Preprocess;
use models::preprocess::{ImageError, Limits, PreparedImage};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::InferenceError;

/// A bounded pool. Decoding a photograph costs about as much as running a small network on it, so it is given as many
/// threads and no more.
#[derive(Debug, Clone)]
pub struct Decoder {
    workers: Arc<Semaphore>,
    limits: Limits,
}

impl Decoder {
    /// A pool of so many workers. Images beyond the limits are refused by their headers.
    #[must_use]
    pub fn new(workers: NonZeroUsize, limits: Limits) -> Self {
        Self { workers: Arc::new(Semaphore::new(workers.get().min(Semaphore::MAX_PERMITS))), limits }
    }

    /// Prepares images, in order. Images that nobody has begun on are given up when the future is dropped.
    pub(super) async fn prepare<B>(
        &self,
        images: Vec<B>,
        preprocess: &Arc<Preprocess>,
    ) -> Result<Vec<PreparedImage>, InferenceError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let mut inputs: Vec<Option<Result<PreparedImage, ImageError>>> = images.iter().map(|_| None).collect();
        let mut tasks = JoinSet::new();
        for (index, image) in images.into_iter().enumerate() {
            let permit = self.workers.clone().acquire_owned().await;
            let permit = permit.map_err(|closed| InferenceError::Failed(closed.to_string()))?;
            let (preprocess, limits) = (preprocess.clone(), self.limits);
            tasks.spawn_blocking(move || {
                let input = preprocess.apply(image.as_ref(), &limits);
                drop(permit);
                (index, input)
            });
        }
        while let Some(done) = tasks.join_next().await {
            let (index, input) = done.map_err(|error| InferenceError::Failed(format!("decoding failed: {error}")))?;
            inputs[index] = Some(input);
        }
        let named =
            |(index, input): (usize, Result<_, _>)| input.map_err(|source| InferenceError::Image { index, source });
        inputs.into_iter().flatten().enumerate().map(named).collect()
    }
}
