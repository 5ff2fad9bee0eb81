//! What a fine-tuning run is given.

use std::path::PathBuf;

use onnx::EngineSpec;

use super::{Base, FinetuneOptions};
use crate::backend::ComputeBackend;
use crate::data::{DatasetSource, FileAccess};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The base model's name, for the record.
    pub base_name: &'a str,
    /// The network that gets the new head.
    pub base: &'a Base,
    /// Where the labeled images are.
    pub source: &'a DatasetSource,
    /// The files that the images may be read from.
    pub access: &'a FileAccess,
    /// The user's choices.
    pub options: FinetuneOptions,
    /// Where the run may write.
    pub folders: &'a Folders,
    /// Runs the frozen part. The image loader may use as many threads.
    pub engine: EngineSpec,
    /// Trains layers of the base.
    pub backend: &'a ComputeBackend,
}

/// The folders that a run may write to. Each is made when it is needed, and nothing is written elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Cached features, a folder for each frozen network.
    pub features: PathBuf,
    /// Checkpoints of runs that have not finished, a folder each.
    pub runs: PathBuf,
    /// Uncompressed copies of compressed tar archives.
    pub archives: PathBuf,
}
