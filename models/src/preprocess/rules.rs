//! What the rules of this code allow parameters to be.

/// See [`Preprocess::VERSION`](super::Preprocess::VERSION).
pub(super) const VERSION: u32 = 1;

/// See [`Preprocess::MAX_SIDE`](super::Preprocess::MAX_SIDE).
pub(super) const MAX_SIDE: u32 = 8192;
