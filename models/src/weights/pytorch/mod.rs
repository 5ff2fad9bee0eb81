//! Files that `torch.save` writes.

mod archive;
mod legacy;
mod state_dict;
mod storage;
mod tensors;

use thiserror::Error;

use super::archive::ArchiveError;
use crate::budget::TooLarge;

pub use crate::pickle::PickleError;
pub(super) use archive::read_archive;
pub(super) use legacy::read_legacy;

/// Why a PyTorch file cannot be read.
#[derive(Debug, Error)]
pub enum PyTorchError {
    /// The zip archive around the pickle.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The state dict's pickle.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// A zip archive of another program.
    #[error(
        "the zip archive has no `data.pkl`, so `torch.save` did not write it; if the weights are inside, unpack it"
    )]
    NoPickle,
    /// A network with its code.
    #[error(
        "this is a TorchScript archive, a network with its code; load it in Python with torch.jit.load and save \
         `model.state_dict()` with torch.save"
    )]
    TorchScript,
    /// A pickle of another program.
    #[error("this is a pickle, but `torch.save` did not write it; save `model.state_dict()` with torch.save")]
    ForeignPickle,
    /// Written on a big-endian machine.
    #[error("the file was written on a big-endian machine; load it in Python and save `model.state_dict()` again")]
    ByteOrder,
    /// Storages that nothing refers to, so that their size is not known.
    #[error("the file is damaged: its list of storages does not fit its pickle")]
    Storages,
    /// Something else than a state dict.
    #[error(
        "the file holds {found} and no state dict; load it in Python and save `model.state_dict()` with torch.save"
    )]
    NotStateDict {
        /// What there is.
        found: String,
    },
    /// More than one network.
    #[error(
        "the file holds tensors under `{first}` and under `{second}`; load it in Python and save the one that is wanted \
         with torch.save"
    )]
    SeveralStateDicts {
        /// A key of the checkpoint.
        first: String,
        /// Another of its keys.
        second: String,
    },
    /// Something in the state dict that is no tensor.
    #[error(
        "`{name}` in the state dict is {found} and no dense tensor; in Python, leave it out or make it one with `.to_dense()`, \
         `.dequantize()` or `.float()`, and save the state dict again"
    )]
    NotTensor {
        /// Its key in the state dict.
        name: String,
        /// What there is.
        found: String,
    },
    /// A tensor of other numbers.
    #[error("tensor `{name}` is in a {found}; weights are read as 16-, 32- or 64-bit floating-point numbers")]
    Type {
        /// The tensor's name.
        name: String,
        /// The class of the storage.
        found: String,
    },
    /// A tensor that is not wholly in the file.
    #[error("the file is damaged: tensor `{name}` reaches past the end of its storage")]
    View {
        /// The tensor's name.
        name: String,
    },
    /// Tensors that together are larger than the file warrants.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}
