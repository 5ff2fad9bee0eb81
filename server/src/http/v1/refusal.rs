//! What the rooms behind the interface refuse, as errors of the interface.

use std::time::Duration;

use models::preprocess::ImageError;
use trainer::finetune::FinetuneError;

use crate::datasets::stored::DatasetStoreError;
use crate::evaluate::EvaluateFailure;
use crate::failure::is_full_disk;
use crate::finetune::FinetuneFailure;
use crate::http::problem::{ApiError, Code};
use crate::inference::{InferenceError, LookupError, PromoteError, VariantError};
use crate::jobs::{JobsError, JobsUnavailable};
use crate::quantize::QuantizeFailure;
use crate::store::StoreError;

/// A small model loads in less, a large one in a few times this.
const LOADING_TAKES: Duration = Duration::from_secs(2);
/// A small fine-tune takes less, a large one many times this.
const JOBS_TAKE: Duration = Duration::from_secs(60);

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        let detail = error.to_string();
        match error {
            LookupError::Unknown { .. } => ApiError::new(Code::ModelNotFound, detail),
            LookupError::NotNamed { .. } => ApiError::new(Code::ModelNotNamed, detail),
            LookupError::Loading(_) => ApiError::new(Code::ModelLoading, detail).retry_after(LOADING_TAKES),
            LookupError::Failed { .. } => ApiError::new(Code::ModelFailed, detail),
            LookupError::Stopped(_) => ApiError::new(Code::ModelUnloaded, detail),
            LookupError::Backbone(_) => ApiError::new(Code::NotAClassifier, detail),
        }
    }
}

impl From<PromoteError> for ApiError {
    fn from(error: PromoteError) -> Self {
        match error {
            PromoteError::Store(error) => error.into(),
            PromoteError::Refused { .. } | PromoteError::Superseded { .. } => {
                ApiError::new(Code::VersionRefused, error.to_string())
            }
            PromoteError::NoRoom { .. } => ApiError::new(Code::NoMemory, error.to_string()),
            PromoteError::Interrupted(_) => ApiError::internal(error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Unknown { .. } | StoreError::UnknownVersion { .. } => {
                ApiError::new(Code::ModelNotFound, detail)
            }
            StoreError::NoVariant { .. } => ApiError::new(Code::VariantNotFound, detail),
            StoreError::Live { .. } => ApiError::new(Code::VersionIsLive, detail),
            StoreError::BuiltIn { .. } => ApiError::new(Code::ModelIsBuiltIn, detail),
            StoreError::Taken(_) => ApiError::new(Code::InvalidBody, detail),
            StoreError::Shadow { .. } => ApiError::new(Code::ShadowRefused, detail),
            StoreError::Labels { .. } => ApiError::new(Code::LabelsRefused, detail),
            StoreError::Note { .. } => ApiError::new(Code::InvalidBody, detail),
            error if is_full_disk(&error) => ApiError::from(Code::StorageFull).caused_by(error),
            error => ApiError::internal(error),
        }
    }
}

impl From<VariantError> for ApiError {
    fn from(error: VariantError) -> Self {
        let detail = error.to_string();
        match error {
            VariantError::Unknown { .. } => ApiError::new(Code::VariantNotFound, detail),
            VariantError::Failed { .. } => ApiError::new(Code::ModelFailed, detail),
        }
    }
}

impl From<InferenceError> for ApiError {
    fn from(error: InferenceError) -> Self {
        let detail = error.to_string();
        match error {
            InferenceError::Overloaded { retry_after, .. } => {
                ApiError::new(Code::Overloaded, detail).retry_after(retry_after)
            }
            InferenceError::Late => ApiError::new(Code::DeadlineExceeded, detail),
            InferenceError::TooMany { .. } => ApiError::new(Code::TooManyImages, detail),
            InferenceError::Stopped(_) => ApiError::new(Code::ModelFailed, detail),
            InferenceError::Failed(_) => ApiError::internal(error),
        }
    }
}

/// An image that cannot be used.
pub(in crate::http) fn image(error: &ImageError) -> ApiError {
    let code = match error {
        ImageError::Empty => Code::ImageEmpty,
        ImageError::NotAnImage | ImageError::OtherFile { .. } => Code::NotAnImage,
        ImageError::UnsupportedFormat { .. } | ImageError::UnsupportedEncoding { .. } => Code::ImageUnsupported,
        ImageError::Truncated { .. } => Code::ImageTruncated,
        ImageError::TooLarge { .. } | ImageError::TooElongated { .. } => Code::ImageTooLarge,
        ImageError::Parameters(_) => return ApiError::internal(error.clone()),
        // Without pixels, corrupt, and whatever else a decoder will find.
        _ => Code::ImageCorrupt,
    };
    ApiError::new(code, error.to_string())
}

/// The rows of all images, for answers that have no place for an image's problem: the first image that cannot be used refuses
/// them all.
pub(in crate::http) fn every_image<T>(rows: Vec<Result<T, ImageError>>) -> Result<Vec<T>, ApiError> {
    let count = rows.len();
    let row = |(index, row): (usize, Result<T, ImageError>)| {
        row.map_err(|error| {
            let refused = image(&error);
            match count {
                1 => refused,
                _ if refused.code() == Code::Internal => refused,
                _ => ApiError::new(refused.code(), format!("image {} of {count}: {error}", index + 1)),
            }
        })
    };
    rows.into_iter().enumerate().map(row).collect()
}

impl From<JobsError> for ApiError {
    fn from(error: JobsError) -> Self {
        let detail = error.to_string();
        match error {
            JobsError::Unknown(_) => ApiError::new(Code::JobNotFound, detail),
            JobsError::Finished { .. } => ApiError::new(Code::JobFinished, detail),
            JobsError::State { .. } => ApiError::new(Code::JobState, detail),
            JobsError::KeyReused(_) => ApiError::new(Code::IdempotencyKeyReused, detail),
            JobsError::QueueFull { .. } => ApiError::new(Code::TooManyJobs, detail).retry_after(JOBS_TAKE),
            JobsError::Database(_) if error.is_full() => ApiError::from(Code::StorageFull).caused_by(error),
            JobsError::Database(_) if error.is_failing() => {
                let detail = "the job database graft.sqlite fails; look into the server's log";
                ApiError::new(Code::JobsUnavailable, detail).caused_by(error)
            }
            JobsError::Folder(_) | JobsError::Uploads(_) | JobsError::Database(_) | JobsError::Json(_) => {
                ApiError::internal(error)
            }
        }
    }
}

impl From<DatasetStoreError> for ApiError {
    fn from(error: DatasetStoreError) -> Self {
        let detail = error.to_string();
        match error {
            DatasetStoreError::Unknown { .. } => ApiError::new(Code::DatasetNotFound, detail),
            DatasetStoreError::Exists(_) => ApiError::new(Code::DatasetExists, detail),
            DatasetStoreError::UnknownImage { .. } => ApiError::new(Code::ImageNotFound, detail),
            DatasetStoreError::UnknownInboxImage(_) => ApiError::new(Code::InboxImageNotFound, detail),
            DatasetStoreError::UnknownSnapshot { .. } => ApiError::new(Code::SnapshotNotFound, detail),
            DatasetStoreError::Full { .. } => ApiError::new(Code::DatasetLimit, detail),
            DatasetStoreError::UnknownUpload(_) => ApiError::new(Code::UploadNotFound, detail),
            DatasetStoreError::UploadLocked(_) => ApiError::new(Code::UploadLocked, detail),
            DatasetStoreError::UploadOffset { .. } => ApiError::new(Code::UploadOffsetMismatch, detail),
            DatasetStoreError::UploadNotFailed(_) => ApiError::new(Code::UploadNotFailed, detail),
            DatasetStoreError::UploadTooLarge { .. } => ApiError::new(Code::UploadTooLarge, detail),
            DatasetStoreError::Image(error) => image(&error),
            error if error.is_full() => ApiError::from(Code::StorageFull).caused_by(error),
            error if error.is_failing() => {
                let detail = "the database datasets.sqlite fails; look into the server's log";
                ApiError::new(Code::DatasetsUnavailable, detail).caused_by(error)
            }
            error => ApiError::internal(error),
        }
    }
}

impl From<JobsUnavailable> for ApiError {
    fn from(error: JobsUnavailable) -> Self {
        ApiError::new(Code::JobsUnavailable, error.to_string())
    }
}

impl From<FinetuneFailure> for ApiError {
    fn from(error: FinetuneFailure) -> Self {
        match error {
            FinetuneFailure::Store(
                StoreError::Unknown { .. }
                | StoreError::UnknownVersion { .. }
                | StoreError::BuiltIn { .. }
                | StoreError::Taken(_),
            )
            | FinetuneFailure::Snapshot(_)
            | FinetuneFailure::Deploy(_)
            | FinetuneFailure::Finetune(
                FinetuneError::Option(_)
                | FinetuneError::ClassWeights { .. }
                | FinetuneError::Dataset(_)
                | FinetuneError::Strategy { .. }
                | FinetuneError::FeatureExtractor(_),
            ) => ApiError::new(Code::FinetuneRefused, error.to_string()),
            error => ApiError::internal(error),
        }
    }
}

impl From<EvaluateFailure> for ApiError {
    fn from(error: EvaluateFailure) -> Self {
        match error.is_refusal() {
            true => ApiError::new(Code::EvaluationRefused, error.to_string()),
            false => ApiError::internal(error),
        }
    }
}

impl From<QuantizeFailure> for ApiError {
    fn from(error: QuantizeFailure) -> Self {
        match error.is_refusal() {
            true => ApiError::new(Code::QuantizationRefused, error.to_string()),
            false => ApiError::internal(error),
        }
    }
}
