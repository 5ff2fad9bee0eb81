//! Where it is known from how a network's images are prepared.

use models::channels::ChannelOrder;
use models::preprocess::Preset;
use models::{ModelSpec, Preprocess};

/// How images are prepared, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum PreparationSource {
    /// Everything, by graft's own metadata; the network normalises its pixels already.
    Spec(Box<ModelSpec>),
    /// Everything, by the weights that these are.
    Parameters { preprocess: Box<Preprocess>, origin: String },
    /// Which of the common ways it is, and the order of the colors where that is said apart from it.
    Preset { preset: Preset, order: Option<ChannelOrder>, origin: String },
    /// The input's type holds bytes, so pixels go in as they are; the geometry is open.
    Bytes { order: Option<ChannelOrder> },
    /// The network squashes images of any size itself, so they are squashed before, and its own `Resize` has nothing left to do;
    /// how pixels are scaled is known otherwise, if at all.
    Squashed(Option<Box<PreparationSource>>),
    /// The network begins with arithmetic that does not tell what it is for, so the user must.
    Unclear,
}

impl PreparationSource {
    /// Whether the user must say how pixels are scaled.
    pub(in crate::cli) fn is_unclear(&self) -> bool {
        match self {
            Self::Unclear => true,
            Self::Squashed(scaled) => scaled.as_deref().is_some_and(Self::is_unclear),
            _ => false,
        }
    }
}
