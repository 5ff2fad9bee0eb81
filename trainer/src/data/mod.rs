//! Images with classes: where they come from, how they are split, and how they become batches.

pub mod augment;
mod check;
mod dataset;
mod error;
mod files;
pub mod loader;
pub mod mixing;
mod sample;
pub mod sampling;
mod sources;
mod split;
#[cfg(test)]
pub(crate) mod testing;

pub use check::{Inspection, check_classes, duplicates};
pub use dataset::{BadFilePolicy, Dataset, checksum};
pub use error::{BadFile, DatasetError, Warning};
pub use files::{DataFile, FileAccess};
pub use sample::{Checksum, Sample};
pub use sources::{ArchiveError, ArchiveLimits, DatasetKind, DatasetSource, OpenOptions};
pub use split::{Counts, Fractions, Partition, Split, Subset};
