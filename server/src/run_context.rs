//! What every run on the store is given.

use trainer::data::FileAccess;

use crate::config::DataDir;
use crate::store::JobOrigin;

/// Where a fine-tune, an evaluation or a quantization finds its model and its images.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The data folder, with the models in it.
    pub data: DataDir,
    /// The files that images may be read from.
    pub access: FileAccess,
    /// The job that it is for, whose model is published once.
    pub origin: Option<JobOrigin>,
}
