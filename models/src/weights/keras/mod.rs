//! Keras's HDF5 files, and its archives, which have such a file inside.
//!
//! Keras has written three layouts. In all of them a layer is a group and a variable is a dataset in it:
//!
//! | layout | a variable's place |
//! |---|---|
//! | the published weights of `keras.applications` | `block1_conv1/block1_conv1_W_1:0` |
//! | weights or whole models, `.h5`; the latter in the group `model_weights` | `block1_conv1/block1_conv1/kernel:0` |
//! | Keras 3, `.weights.h5` and in `.keras` | `layers/conv2d/vars/0`, the layer's name an attribute of `vars` |
//!
//! Variables are found by walking the groups. The attributes `layer_names` and `weight_names` list the same once more,
//! in the order of creation, which is not needed where names decide.

mod names;
mod walk;

use std::borrow::Cow;

use hdf5_reader::error::Error as Hdf5Error;
use hdf5_reader::{Dataset, Datatype, H5Type, Hdf5File, OpenOptions};
use thiserror::Error;

use super::archive::{Archive, ArchiveError};
use crate::budget::{Budget, TooLarge};
use crate::params::{Params, Tensor};

/// Why a Keras file cannot be read.
#[derive(Debug, Error)]
pub enum KerasError {
    /// The HDF5 container.
    #[error(
        "the HDF5 file is damaged or cut off, or packed in a way that is not read; fetch it again, or save the weights again"
    )]
    Container,
    /// The archive around it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A variable of another type.
    #[error("variable `{name}` holds {found}; weights are read as 32- or 64-bit floating-point numbers")]
    Type {
        /// `layer/variable`.
        name: String,
        /// What it holds.
        found: String,
    },
    /// Layers without names.
    #[error(
        "the file does not say what the layer in `{group}` is called, as this version of Keras 3 did not; load the model \
         in Keras and save it as .h5"
    )]
    Unnamed {
        /// The group of the layer.
        group: String,
    },
    /// Two variables of one name.
    #[error("the file has two variables `{name}`; save the network without what is around it")]
    Duplicate {
        /// `layer/variable`.
        name: String,
    },
    /// Groups inside each other.
    #[error("the file's groups are deeper inside each other than Keras makes them")]
    Depth,
    /// Variables that together are larger than the file warrants.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl From<Hdf5Error> for KerasError {
    fn from(_: Hdf5Error) -> Self {
        Self::Container
    }
}

/// Reads all variables of an HDF5 file as `layer/variable`, in Keras's layout: kernels of convolutions are HWIO, those of
/// dense layers `[in, out]`.
///
/// # Errors
/// [`KerasError`] for a damaged file, or a variable that is no floating-point tensor.
pub(super) fn read_hdf5(bytes: Vec<u8>) -> Result<Params, KerasError> {
    let mut budget = Budget::new(bytes.len());
    read(bytes, &mut budget)
}

/// Reads the weights in a `.keras` archive.
///
/// # Errors
/// As [`read_hdf5`], and for a damaged archive.
pub(super) fn read_archive(bytes: &[u8]) -> Result<Params, KerasError> {
    let mut budget = Budget::new(bytes.len());
    let weights = Archive::open(bytes)?.member("model.weights.h5", &mut budget)?;
    if let Cow::Borrowed(stored) = weights {
        budget.spend(stored.len() as u64)?;
    }
    read(weights.into_owned(), &mut budget)
}

fn read(bytes: Vec<u8>, budget: &mut Budget) -> Result<Params, KerasError> {
    let limit = usize::try_from(budget.left()).unwrap_or(usize::MAX);
    let options = OpenOptions::default()
        .with_chunk_cache_bytes(0)
        .with_max_chunk_bytes(limit)
        .with_max_read_bytes(limit)
        .with_max_object_header_bytes(bytes.len());
    let file = Hdf5File::from_vec_with_options(bytes, options)?;
    let mut params = Params::default();
    for (name, dataset) in walk::variables(&file)? {
        if params.get(&name).is_some() {
            return Err(KerasError::Duplicate { name });
        }
        let tensor = tensor(&name, &dataset, budget)?;
        params.insert(name, tensor);
    }
    Ok(params)
}

fn tensor(name: &str, dataset: &Dataset, budget: &mut Budget) -> Result<Tensor, KerasError> {
    // A dimension too large for this machine is too large for any file on it.
    let shape: Vec<usize> = dataset.shape().iter().map(|dim| usize::try_from(*dim).unwrap_or(usize::MAX)).collect();
    let count = budget.tensor(&shape)?;
    let numbers = match dataset.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => values::<f32>(dataset, count)?,
        Datatype::FloatingPoint { size: 8, .. } => {
            budget.spend((count * size_of::<f64>()) as u64)?;
            values::<f64>(dataset, count)?.into_iter().map(|number| number as f32).collect()
        }
        found => return Err(KerasError::Type { name: name.to_owned(), found: kind(found) }),
    };
    Ok(Tensor::new(shape, numbers))
}

fn values<T: H5Type + Default>(dataset: &Dataset, count: usize) -> Result<Vec<T>, KerasError> {
    let mut values = vec![T::default(); count];
    dataset.read_into(&mut values)?;
    Ok(values)
}

fn kind(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FixedPoint { size, .. } => format!("{}-bit integers", 8 * u16::from(*size)),
        Datatype::FloatingPoint { size, .. } => format!("{}-bit floating-point numbers", 8 * u16::from(*size)),
        Datatype::String { .. } | Datatype::VarLen { .. } => "text".to_owned(),
        _ => "no numbers".to_owned(),
    }
}
