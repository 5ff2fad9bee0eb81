//! The order of an image's dimensions.

/// Where the channels of an image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageLayout {
    /// `[n, c, h, w]`
    ChannelsFirst,
    /// `[n, h, w, c]`: files made from Keras and TensorFlow.
    ChannelsLast,
}
