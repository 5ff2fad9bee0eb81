//! A pickle machine that executes nothing.
//!
//! A pickle is a program for a small stack machine, and Python's lets it call any function: to load one is to run it.
//! This one builds values and calls nothing. A global is a name, and only the few names in `call` have a meaning:
//! dictionaries, PyTorch's tensors and parameters, NumPy's arrays. The result of any other call is an opaque value that
//! remembers the callee's name.
//!
//! Values live in a `Heap` and refer to each other by number, so that a file can neither make a cycle that is never
//! freed nor a nesting so deep that freeing it overflows the stack.

mod call;
mod heap;
mod machine;
mod opcode;
mod reader;
mod view;

use std::ops::Range;

use thiserror::Error;

use crate::budget::{Budget, TooLarge};

pub(crate) use heap::{Heap, Object};
pub use heap::{ObjectId, Value};
pub(crate) use machine::load;
pub(crate) use reader::ByteReader;
pub(crate) use view::StridedView;

/// A pickle that holds a dictionary, such as a batch of CIFAR-10.
///
/// ```
/// use models::pickle::{Pickle, Value};
///
/// // pickle.dumps({"label": 7}, protocol=2)
/// let pickle = Pickle::read(b"\x80\x02}X\x05\x00\x00\x00labelK\x07s.")?;
/// assert_eq!(pickle.get("label"), Some(Value::Int(7)));
/// # Ok::<(), models::pickle::PickleError>(())
/// ```
#[derive(Debug)]
pub struct Pickle<'a> {
    file: &'a [u8],
    heap: Heap<'a>,
    root: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// Reads the first pickle of a file, protocols 2 to 5. Memory is bounded by the file's size.
    ///
    /// # Errors
    /// [`PickleError`] for a damaged file or a protocol that is not supported.
    pub fn read(file: &'a [u8]) -> Result<Self, PickleError> {
        let mut heap = Heap::default();
        let root = load(&mut ByteReader::new(file), &mut heap, &mut Budget::new(file.len()))?;
        Ok(Self { file, heap, root })
    }

    /// The value behind a key of the dictionary, the last where the file repeats it. `None` if the key is missing or the
    /// pickle holds something else.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let mut pairs = self.heap.pairs(self.root)?.iter().rev();
        let is_key = |name: &Value<'a>| match name {
            Value::Text(text) => *text == key,
            Value::Bytes(bytes) => *bytes == key.as_bytes(),
            _ => false,
        };
        pairs.find(|(name, _)| is_key(name)).map(|(_, value)| *value)
    }

    /// The items of a list or tuple.
    #[must_use]
    pub fn items(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        self.heap.items(value)
    }

    /// The bytes of a text, a byte string or a NumPy array in row-major order.
    #[must_use]
    pub fn bytes(&self, value: Value<'a>) -> Option<&'a [u8]> {
        self.heap.bytes(value)
    }

    /// Where in the file the [`bytes`](Self::bytes) of a value are.
    #[must_use]
    pub fn range(&self, value: Value<'a>) -> Option<Range<usize>> {
        let bytes = self.bytes(value)?;
        // All bytes are borrowed from the file, so the difference of the addresses is an offset in it.
        let start = bytes.as_ptr().addr().checked_sub(self.file.as_ptr().addr())?;
        Some(start..start + bytes.len())
    }

    /// The names of what the pickle calls beside dictionaries, tensors and arrays, such as `posix.system`.
    pub fn opaque_calls(&self) -> impl Iterator<Item = String> {
        self.heap.opaque_calls().map(ToString::to_string)
    }
}

/// What an instruction is charged, in bytes: it leaves at most one value on the stack, one object on the heap and one
/// entry in the memo. A state dict takes about thirty instructions for a tensor.
const STEP: u64 = 128;

/// Why a pickle cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PickleError {
    /// The file ends before the pickle does.
    #[error("the file ends in the middle of its pickle, at byte {at}; fetch it again")]
    Truncated {
        /// The offset of its end.
        at: usize,
    },
    /// A byte that is no instruction of protocols 2 to 5.
    #[error("byte {at} of the pickle, {opcode:#04x}, is no instruction of protocols 2 to 5")]
    Opcode {
        /// What the file has in the place of an instruction.
        opcode: u8,
        /// Its offset in the file.
        at: usize,
    },
    /// A newer protocol than is supported.
    #[error("the pickle is of protocol {0}; protocols 2 to 5 are read")]
    Protocol(u8),
    /// An instruction whose operands are missing or of another type.
    #[error("the pickle is damaged: the instruction at byte {at} does not find the values that it needs")]
    Operands {
        /// Its offset in the file.
        at: usize,
    },
    /// A call that builds a tensor from arguments that describe none.
    #[error("the pickle is damaged: `{callee}` is given what it cannot take")]
    Arguments {
        /// Module and name, such as `torch._utils._rebuild_tensor_v2`.
        callee: String,
    },
    /// A tensor that is a lazily negated or conjugated view.
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
