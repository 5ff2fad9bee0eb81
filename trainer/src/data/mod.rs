//! Images with classes: where they come from, how they are split, and how they become batches.

mod account;
pub mod augment;
mod check;
mod dataset;
mod diagnosis;
mod doubt;
mod error;
mod files;
mod label_sets;
mod layout;
pub mod loader;
pub mod mixing;
mod sample;
pub mod sampling;
mod sketch;
mod sources;
mod split;
mod stratify;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod text;

pub use account::{Account, Omission, OmissionReason};
pub use check::{InspectedImage, Inspection, check_classes, duplicates};
pub use dataset::{BadFilePolicy, Dataset, SnapshotId, checksum};
pub use diagnosis::{
    CopyGroup, CopyKind, Diagnosis, ImageCopy, ImageGroup, Imbalance, ModeGroup, Storage, StrayFolder, TinyImage,
};
pub use doubt::Doubt;
pub use error::{BadFile, DatasetError, Warning};
pub use files::{DataFile, FileAccess};
pub use label_sets::LabelSets;
pub(crate) use label_sets::classes_of;
pub use layout::Layout;
pub use sample::{Checksum, ImageName, InvalidChecksum, NamedImage, Sample};
pub use sketch::ImageSketch;
pub use sources::{ArchiveError, ArchiveLimits, DatasetSource, OpenOptions, pictures};
pub use sources::{DatasetFolder, SnapshotHeader, SnapshotImage, SnapshotManifest, labels_of};
pub(crate) use split::folds;
pub use split::{Counts, Fractions, Partition, Split, Subset};
pub use summary::{ClassSummary, DatasetSummary};
pub use text::normalized;
pub(crate) use text::quoted;
