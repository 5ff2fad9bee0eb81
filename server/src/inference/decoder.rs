//! Decoding and resizing, off the threads that answer requests.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use models::Preprocess;
use models::preprocess::{ImageError, Limits, PreparedImage, probe};
use tokio::task::spawn_blocking;

use super::InferenceError;
use super::turns::{ModelTurns, PixelBudget};
use crate::metrics::{ModelMetrics, Stage};
use crate::store::ModelName;

/// A bounded pool that models share by turns. Decoding a photograph costs about as much as running a small network on
/// it, so it is given as many threads and no more.
#[derive(Debug, Clone)]
pub struct Decoder {
    turns: ModelTurns,
    pixels: Arc<PixelBudget>,
    limits: Limits,
}

/// For whom images are decoded, how, and until when.
pub(super) struct DecodeContext<'a> {
    pub(super) model: &'a ModelName,
    pub(super) preprocess: &'a Arc<Preprocess>,
    pub(super) deadline: Instant,
    pub(super) metrics: &'a ModelMetrics,
}

impl Decoder {
    /// A pool of so many threads, which hold at most so many pixels together. Images beyond the limits are refused by
    /// their headers.
    #[must_use]
    pub fn new(threads: NonZeroUsize, limits: Limits, inflight_pixels: u64) -> Self {
        Self { turns: ModelTurns::new(threads.get()), pixels: Arc::new(PixelBudget::new(inflight_pixels)), limits }
    }

    /// What images may be.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Pixels of the images that are being decoded.
    #[must_use]
    pub fn pixels_in_flight(&self) -> u64 {
        self.pixels.used()
    }

    /// The most pixels that are decoded at a time.
    #[must_use]
    pub fn pixel_limit(&self) -> u64 {
        self.pixels.limit()
    }

    /// Prepares an image when it is its model's turn. One that nobody has begun on is given up when the future is dropped,
    /// and at the deadline.
    pub(super) async fn prepare<B>(
        &self,
        image: B,
        context: &DecodeContext<'_>,
    ) -> Result<Result<PreparedImage, ImageError>, InferenceError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let arrival = Instant::now();
        let turn = self.turns.acquire(context.model).await;
        let turn = turn.ok_or_else(|| InferenceError::Failed("the decoders have stopped".to_owned()))?;
        if Instant::now() >= context.deadline {
            return Err(InferenceError::Late);
        }
        let (preprocess, metrics) = (context.preprocess.clone(), context.metrics.clone());
        let (pixels, limits) = (self.pixels.clone(), self.limits);
        let task = spawn_blocking(move || {
            let input = decode(image.as_ref(), &preprocess, &limits, &pixels);
            metrics.stage(Stage::Decode, arrival.elapsed());
            drop(turn);
            input
        });
        task.await.map_err(|error| InferenceError::Failed(format!("decoding failed: {error}")))
    }
}

/// Decodes and resizes one image, its pixels charged by its header.
fn decode(
    bytes: &[u8],
    preprocess: &Preprocess,
    limits: &Limits,
    pixels: &PixelBudget,
) -> Result<PreparedImage, ImageError> {
    let header = probe(bytes, limits)?;
    let _charge = pixels.charge(u64::from(header.width) * u64::from(header.height));
    preprocess.apply(bytes, limits)
}
