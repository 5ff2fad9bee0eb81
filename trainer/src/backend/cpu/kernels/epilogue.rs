/// The operations that a kernel fuses onto its result before it writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Epilogue {
    Identity,
    Relu,
    /// Adds a residual of the same shape.
    Add,
    /// Adds the residual first.
    AddRelu,
}

impl Epilogue {
    pub(crate) fn has_relu(self) -> bool {
        matches!(self, Self::Relu | Self::AddRelu)
    }

    pub(crate) fn has_add(self) -> bool {
        matches!(self, Self::Add | Self::AddRelu)
    }

    pub(crate) fn with_relu(self) -> Self {
        if self.has_add() { Self::AddRelu } else { Self::Relu }
    }
}
