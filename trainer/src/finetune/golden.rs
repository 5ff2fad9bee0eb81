//! Images with the answers that a model must reproduce before it serves.

use models::preprocess::{ImageBatch, Limits};
use models::{Network, Preprocess};
use thiserror::Error;

use crate::backend::{CpuExecutor, ExecError};

/// An image file and the logits that the trainer computed for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// A plain file name, unique among a model's golden images.
    pub file_name: String,
    /// The image file's content.
    pub bytes: Vec<u8>,
    /// `[classes]`.
    pub logits: Vec<f32>,
    /// The difference of a logit that is noise of the features: see [`onnx::parity::propagated_noise`].
    pub noise: f64,
}

/// The logits of a golden image cannot be computed.
#[derive(Debug, Error)]
pub enum GoldenError {
    /// The image does not decode, or not to the network's size.
    #[error("golden image {file_name}: {reason}")]
    Image {
        /// The image's file name.
        file_name: String,
        /// What is wrong.
        reason: String,
    },
    /// The network does not run.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Computes the logits with the trainer's own executor, which shares no code with the engines that will serve.
///
/// # Errors
/// [`GoldenError`] for an image that does not decode or a network that does not run.
pub fn answers(network: &Network, images: Vec<(String, Vec<u8>)>) -> Result<Vec<Golden>, GoldenError> {
    let executor = CpuExecutor::new(&network.graph, &network.params)?;
    let answer = |(file_name, bytes): (String, Vec<u8>)| {
        let batch = prepare(&network.spec.preprocess, &bytes)
            .map_err(|reason| GoldenError::Image { file_name: file_name.clone(), reason })?;
        let logits = executor.infer_batch(&batch)?.data().to_vec();
        Ok(Golden { file_name, bytes, logits, noise: 0.0 })
    };
    images.into_iter().map(answer).collect()
}

/// Pairs images with logits, `[n, classes]`, that training has computed.
#[must_use]
pub fn recorded(images: Vec<(String, Vec<u8>)>, logits: &[f32]) -> Vec<Golden> {
    let classes = logits.len() / images.len().max(1);
    let rows = logits.chunks(classes.max(1)).map(<[f32]>::to_vec);
    images
        .into_iter()
        .zip(rows)
        .map(|((file_name, bytes), logits)| Golden { file_name, bytes, logits, noise: 0.0 })
        .collect()
}

fn prepare(preprocess: &Preprocess, bytes: &[u8]) -> Result<ImageBatch, String> {
    let input = preprocess.apply(bytes, &Limits::default()).map_err(|error| error.to_string())?;
    Ok(ImageBatch::from(input))
}
