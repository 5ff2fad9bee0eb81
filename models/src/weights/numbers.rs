//! From the numbers of a file to `f32`.

use half::{bf16, f16};

/// A floating-point type that weights are stored in, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F16,
    BF16,
    F32,
    F64,
}

impl Float {
    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        match self {
            Float::F16 | Float::BF16 => 2,
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }

    /// The numbers as `f32`: exactly, but for `f64`, which is rounded to the nearest. Bytes behind the last whole number
    /// are passed over.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Float::F16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Float::BF16 => each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Float::F32 => each(bytes, f32::from_le_bytes),
            Float::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
}

/// Whether a tensor of this name is bookkeeping: it counts training steps and says nothing about the network. It is an
/// integer, or a real number where a program has converted every tensor. Any other integer tensor is a weight in a form that
/// is not read, such as a quantised one.
pub(super) fn is_bookkeeping(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    ["num_batches_tracked", "n_averaged"].contains(&last)
}
