//! How much stored data sets may take.

use std::time::Duration;

use clap::{Args, value_parser};

use super::jobs::duration;

/// How much stored data sets may take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data sets")]
pub struct DatasetLimitArgs {
    /// The most stored data sets
    #[arg(long, env = "GRAFT_MAX_DATASETS", default_value_t = 1000, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    max_datasets: u64,

    /// The most images in a stored data set
    #[arg(long, env = "GRAFT_MAX_DATASET_IMAGES", default_value_t = 1_000_000, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    max_dataset_images: u64,

    /// The most bytes of the images of a stored data set, in gigabytes
    #[arg(long, env = "GRAFT_MAX_DATASET_GB", default_value_t = 256, value_name = "GB", value_parser = value_parser!(u64).range(1..=1_000_000))]
    max_dataset_gb: u64,

    /// The largest upload, in gigabytes
    #[arg(long, env = "GRAFT_MAX_UPLOAD_GB", default_value_t = 32, value_name = "GB", value_parser = value_parser!(u64).range(1..=1_000_000))]
    max_upload_gb: u64,

    /// The most uploads that are not finished
    #[arg(long, env = "GRAFT_MAX_UPLOADS", default_value_t = 16, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    max_uploads: u64,

    /// How long an upload is kept that nothing comes of any more: `90s`, `30m`, `24h`, `3d`
    #[arg(long, env = "GRAFT_UPLOAD_EXPIRY", default_value = "24h", value_name = "TIME", value_parser = duration)]
    upload_expiry: Duration,
}

/// How much stored data sets may take, as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetLimits {
    /// The most data sets.
    pub datasets: u64,
    /// Images in one of them.
    pub images: u64,
    /// Bytes of the images of one of them.
    pub bytes: u64,
    /// The size of the largest upload.
    pub upload_bytes: u64,
    /// Uploads that are not finished.
    pub uploads: u64,
    /// How long an upload is kept that nothing comes of any more.
    pub upload_expiry: Duration,
}

impl DatasetLimits {
    /// No limits: for a command, which acts for the user who typed it.
    #[must_use]
    pub fn unlimited() -> Self {
        let most = i64::MAX.cast_unsigned();
        let upload_expiry = Duration::from_secs(24 * 60 * 60);
        Self { datasets: most, images: most, bytes: most, upload_bytes: most, uploads: most, upload_expiry }
    }
}

impl DatasetLimitArgs {
    /// The flags as plain values.
    #[must_use]
    pub fn resolve(&self) -> DatasetLimits {
        DatasetLimits {
            datasets: self.max_datasets,
            images: self.max_dataset_images,
            bytes: self.max_dataset_gb.saturating_mul(1 << 30),
            upload_bytes: self.max_upload_gb.saturating_mul(1 << 30),
            uploads: self.max_uploads,
            upload_expiry: self.upload_expiry,
        }
    }
}
