//! From an image file to what a network takes.

use models::preprocess::{PreparedImage, RgbImage};

use super::Task;
use crate::data::augment::{AugmentError, View};
use crate::data::{Checksum, DatasetError, Sample};

/// A readable image file with the checksum of its bytes.
#[derive(Debug, Clone)]
pub(super) struct ImageFile {
    pub(super) sample: Sample,
    pub(super) checksum: Checksum,
}

/// The image as the server decodes it: the network's input.
pub(super) fn decode(task: &Task<'_>, sample: &Sample) -> Result<PreparedImage, DatasetError> {
    let limits = task.options.limits();
    let bytes = sample.read(&limits)?;
    let input = task.base.network().spec.preprocess.apply(&bytes, &limits);
    input.map_err(|source| DatasetError::image(&sample.path, source))
}

/// A view of an image as the network's input.
pub(super) fn decode_view(task: &Task<'_>, sample: &Sample, view: View) -> Result<PreparedImage, DatasetError> {
    let input = task.base.network().spec.preprocess.prepared(&pixels(task, sample, view)?);
    input.map_err(|source| DatasetError::image(&sample.path, source.into()))
}

/// The pixels of a view, of the network's size.
pub(super) fn pixels(task: &Task<'_>, sample: &Sample, view: View) -> Result<RgbImage, DatasetError> {
    let limits = task.options.limits();
    let preprocess = &task.base.network().spec.preprocess;
    let image = sample.decode_for(preprocess, &limits)?;
    view.of(&image, preprocess, &limits).map_err(|error| match error {
        AugmentError::Image(source) => DatasetError::image(&sample.path, source),
        other => DatasetError::read(&sample.path, std::io::Error::other(other.to_string())),
    })
}
