//! How a file is to be written.

/// The choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// The operator set, 13 to 20.
    pub opset: i64,
    /// What becomes of batch normalisation.
    pub batch_norm: BatchNormalization,
    /// How weights are stored.
    pub weights: WeightPrecision,
    /// Where pixels are normalised.
    pub normalization: PixelNormalization,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            opset: 17,
            batch_norm: BatchNormalization::Fold,
            weights: WeightPrecision::Single,
            normalization: PixelNormalization::Inside,
        }
    }
}

/// What becomes of a batch normalisation right behind a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNormalization {
    /// It is multiplied into the convolution's weights: faster, the same answers. Dropout, which does nothing outside
    /// training, is left off as well.
    Fold,
    /// It stays a node of its own, and so does dropout, so that the file can be trained further.
    Keep,
}

/// How weights are stored. The arithmetic is single precision either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightPrecision {
    /// Single precision, as they were trained.
    Single,
    /// Half precision, converted when the file is loaded: half the size, and weights that are rounded to 11 bits.
    Half,
}

/// Where the mean is subtracted and the deviation divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelNormalization {
    /// In the network, which takes pixels 0..255.
    Inside,
    /// Before it: the network takes what the program that calls it has normalised.
    Outside,
}
