//! The classes of storages: what kind of number, and how many bytes of it.

use crate::weights::numbers::Float;

/// The numbers of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Weights.
    Float(Float),
    /// Anything else, with the bytes of an element.
    Other(usize),
}

impl Numbers {
    /// By the name of the storage's class; none for one of which not even the size is known.
    pub(super) fn of(class: &str) -> Option<Self> {
        Some(match class {
            "HalfStorage" => Numbers::Float(Float::F16),
            "BFloat16Storage" => Numbers::Float(Float::BF16),
            "FloatStorage" => Numbers::Float(Float::F32),
            "DoubleStorage" => Numbers::Float(Float::F64),
            "BoolStorage" | "ByteStorage" | "CharStorage" | "QInt8Storage" | "QUInt8Storage" | "UntypedStorage" => {
                Numbers::Other(1)
            }
            "ShortStorage" => Numbers::Other(2),
            "IntStorage" | "QInt32Storage" => Numbers::Other(4),
            "LongStorage" | "ComplexFloatStorage" => Numbers::Other(8),
            "ComplexDoubleStorage" => Numbers::Other(16),
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        match self {
            Numbers::Float(float) => float.size(),
            Numbers::Other(size) => size,
        }
    }
}
