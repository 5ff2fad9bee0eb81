//! Reads files of weights, and fits their tensors to a graph.
//!
//! [`read`] knows the formats, [`fit`] the naming conventions. The two are separate because any convention may come in
//! any format: torchvision's names in safetensors, in a `.pth` of either kind, with or without a checkpoint around them.
//!
//! Files are untrusted input. Nothing in them is executed, and reading one allocates at most [`MEMORY_FACTOR`] times its size
//! plus [`MEMORY_FLOOR`] bytes.

mod archive;
mod error;
mod fit;
mod format;
mod head;
mod keras;
mod layout;
mod naming;
mod numbers;
pub(crate) mod pytorch;
mod safetensors;
mod state_dict;

pub use crate::budget::{MEMORY_FACTOR, MEMORY_FLOOR, TooLarge};
pub use archive::ArchiveError;
pub use error::WeightsError;
pub use fit::{FitError, FittedWeights, Likeness, fit, likeness};
pub use format::WeightsFormat;
pub use head::{classes, covered, has_classifier};
pub use keras::KerasError;
pub use naming::Naming;
pub use pytorch::{PickleError, PyTorchError};
pub use safetensors::{SafetensorsError, read_network, read_safetensors, write_network, write_safetensors};
pub use state_dict::StateDict;

/// Reads a file of weights in any supported format, which its content tells.
///
/// # Errors
/// [`WeightsError`] for a format that is not read (naming the one that was recognized, if any), a damaged file, one that
/// holds something else than tensors by name, or one that asks for more memory than its size warrants.
pub fn read(bytes: Vec<u8>) -> Result<StateDict, WeightsError> {
    let Some(format) = WeightsFormat::sniff(&bytes) else {
        return Err(WeightsError::Format { found: format::describe(&bytes) });
    };
    let tensors = match format {
        WeightsFormat::Safetensors => read_safetensors(&bytes)?,
        WeightsFormat::PyTorch => pytorch::read_archive(&bytes)?,
        WeightsFormat::PyTorchLegacy => pytorch::read_legacy(&bytes)?,
        WeightsFormat::Keras => keras::read_hdf5(bytes)?,
        WeightsFormat::KerasArchive => keras::read_archive(&bytes)?,
    };
    if tensors.is_empty() {
        return Err(WeightsError::Empty { format });
    }
    Ok(StateDict::new(format, &tensors))
}
