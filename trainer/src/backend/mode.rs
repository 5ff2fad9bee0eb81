//! What a forward pass is for.

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Batch normalization by its running statistics, dropout the identity.
    Evaluation,
    /// Batch normalization by the batch's statistics where it is trained, dropout by numbers that this seed decides.
    Training { seed: u64 },
}
