//! The arithmetic that the executor spends its time in, on plain slices.

pub(crate) mod conv;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod simd;
