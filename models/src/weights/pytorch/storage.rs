//! The classes of storages: what kind of number, and how many bytes of it.

use crate::weights::numbers::Float;

/// The numbers of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementType {
    /// Floating-point numbers, which weights are made of.
    Float(Float),
    /// Anything else, with the bytes of an element.
    Other(usize),
}

impl ElementType {
    /// By the name of the storage's class; none for one of which not even the size is known.
    pub(super) fn of(class: &str) -> Option<Self> {
        Some(match class {
            "HalfStorage" => ElementType::Float(Float::F16),
            "BFloat16Storage" => ElementType::Float(Float::BF16),
            "FloatStorage" => ElementType::Float(Float::F32),
            "DoubleStorage" => ElementType::Float(Float::F64),
            "BoolStorage" | "ByteStorage" | "CharStorage" | "QInt8Storage" | "QUInt8Storage" | "UntypedStorage" => {
                ElementType::Other(1)
            }
            "ShortStorage" => ElementType::Other(2),
            "IntStorage" | "QInt32Storage" => ElementType::Other(4),
            "LongStorage" | "ComplexFloatStorage" => ElementType::Other(8),
            "ComplexDoubleStorage" => ElementType::Other(16),
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        match self {
            ElementType::Float(float) => float.size(),
            ElementType::Other(size) => size,
        }
    }
}
