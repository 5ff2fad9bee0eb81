//! The names of the tensors at the edges of a file that graft writes.

/// The name of the input: pixels in `0.0..=255.0`, RGB, `[batch, 3, height, width]`.
pub const INPUT: &str = "input";
/// The name of a classifier's first output, `[batch, classes]`.
pub const LOGITS: &str = "logits";
/// The name of a classifier's second output: the softmax of the first, `[batch, classes]`.
pub const PROBABILITIES: &str = "probabilities";
/// The name of a backbone's output, `[batch, width]` or `[batch, channels, height, width]`.
pub const FEATURES: &str = "features";
/// Names that no inner tensor may have.
pub(crate) const RESERVED: [&str; 4] = [INPUT, LOGITS, PROBABILITIES, FEATURES];
