//! Why there is no quantized model.

use thiserror::Error;
use trainer::evaluate::EvaluateError;
use trainer::quantize::QuantizationError;

use crate::datasets::MissingSnapshot;
use crate::failure::{STORAGE_FULL, STORE_FAILED, is_full_disk};
use crate::store::StoreError;

/// Why there is no quantized model.
#[derive(Debug, Error)]
pub enum QuantizeFailure {
    /// The model is not there, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot of the data set is not there.
    #[error(transparent)]
    Snapshot(#[from] MissingSnapshot),
    /// The quantization failed.
    #[error(transparent)]
    Quantization(#[from] QuantizationError),
}

impl QuantizeFailure {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            failure if is_full_disk(failure) => STORAGE_FULL,
            Self::Store(StoreError::Unknown { .. } | StoreError::UnknownVersion { .. }) => "unknown_model",
            Self::Store(StoreError::BuiltIn { .. } | StoreError::Taken(_)) => "invalid_option",
            Self::Store(_) => STORE_FAILED,
            Self::Snapshot(_) => "invalid_dataset",
            Self::Quantization(error) => match error {
                QuantizationError::Stopped => "stopped",
                QuantizationError::Option(_) => "invalid_option",
                QuantizationError::Model(_)
                | QuantizationError::Images(EvaluateError::Backbone(_) | EvaluateError::MultiLabel(_)) => {
                    "not_quantizable"
                }
                QuantizationError::Images(_) | QuantizationError::TooFew { .. } => "invalid_dataset",
                QuantizationError::NoRuntime(_) => "no_runtime",
                QuantizationError::Engine(_) | QuantizationError::Export(_) | QuantizationError::NotFinite(..) => {
                    "quantization_failed"
                }
            },
        }
    }

    /// Whether the request is at fault, so that its client learns why.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self.code(), STORAGE_FULL | STORE_FAILED | "stopped" | "quantization_failed")
    }
}
