//! The arithmetic that the executor spends its time in, on plain slices. Images are `[n, h, w, c]`.

pub(crate) mod conv;
pub(crate) mod dot;
pub(crate) mod element;
pub(crate) mod elementwise;
pub(crate) mod epilogue;
pub(crate) mod matmul;
pub(crate) mod narrow;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod response;
pub(crate) mod simd;
pub(crate) mod strided;
