//! A pickle machine that executes nothing.
//!
//! A pickle is a program for a small stack machine, and Python's lets it call any function: to load one is to run it.
//! This one builds values and calls nothing. A global is a name, and of all names only the few in `call` mean something:
//! dictionaries, tensors, parameters. Whatever else a file calls or makes is remembered as an opaque value under the
//! name of what would have made it, and matters only if it stands where a tensor is wanted.
//!
//! It is written out here because a state dict needs both, a machine that runs nothing and one that knows PyTorch's
//! persistent ids, by which a pickle refers to the storages outside of it.
//!
//! Values live in a [`Heap`] and refer to each other by number, so that a file can neither make a cycle that is never
//! freed nor a nesting so deep that freeing it overflows the stack.

mod call;
mod heap;
mod machine;
mod opcode;
mod reader;

use thiserror::Error;

use crate::weights::budget::TooLarge;

pub(super) use heap::{Heap, Object, Storage, Value};
pub(super) use machine::load;
pub(super) use reader::Reader;

/// What an instruction is charged, in bytes: it leaves at most one value on the stack, one object on the heap and one
/// entry in the memo. A state dict takes about thirty instructions for a tensor.
const STEP: u64 = 128;

/// Why a pickle is not one, or not one of those that are read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PickleError {
    /// The file ends before the pickle does.
    #[error("the file ends in the middle of its pickle, at byte {at}; fetch it again")]
    Truncated {
        /// Where it ends.
        at: usize,
    },
    /// Something that is no instruction, or one of older protocols.
    #[error("byte {at} of the pickle, {opcode:#04x}, is no instruction of protocols 2 to 5")]
    Opcode {
        /// The byte.
        opcode: u8,
        /// Its place.
        at: usize,
    },
    /// A protocol of the future.
    #[error("the pickle is of protocol {0}; protocols 2 to 5 are read")]
    Protocol(u8),
    /// An instruction that does not find what it needs.
    #[error("the pickle is damaged: the instruction at byte {at} does not find the values that it needs")]
    Operands {
        /// Its place.
        at: usize,
    },
    /// A call that makes a tensor, with something else than what makes a tensor.
    #[error("the pickle is damaged: `{callee}` is given what it cannot take")]
    Arguments {
        /// What is called.
        callee: String,
    },
    /// A tensor whose numbers are yet to be negated or conjugated.
    #[error(
        "a tensor is marked to be negated or conjugated when it is used; load the file in Python and save \
         `tensor.resolve_neg().resolve_conj()` of each"
    )]
    Lazy,
    /// More values than the file's size warrants.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

#[cfg(test)]
mod tests;
