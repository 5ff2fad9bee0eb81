//! Options of an export.

/// How to write a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// The operator set, 13 to 20.
    pub opset: i64,
    /// Whether to fold batch normalization.
    pub batch_norm: BatchNormalization,
    /// The precision of the stored weights.
    pub weights: WeightPrecision,
    /// Where the program normalizes pixels.
    pub normalization: PixelNormalization,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            opset: 17,
            batch_norm: BatchNormalization::Fold,
            weights: WeightPrecision::F32,
            normalization: PixelNormalization::Inside,
        }
    }
}

/// What to do with a batch normalization right behind a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNormalization {
    /// Multiply it into the convolution's weights: faster, with the same outputs up to rounding. Drops dropout as well,
    /// which does nothing outside training.
    Fold,
    /// Write it as a node of its own, and dropout too, so that other programs can train the file further.
    Keep,
}

/// The precision of the stored weights. The arithmetic is single precision either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightPrecision {
    /// `f32`, as trained.
    F32,
    /// `f16`, converted when an engine loads the file: half the size, weights rounded to 11 bits.
    Half,
    /// Matrices and kernels as `i8` with a scale for each output, multiplied when an engine loads the file: a quarter of the
    /// size, each weight off by at most 1/254 of its output's largest. Biases and normalizations stay `f32`.
    Int8,
}

/// Where the mean is subtracted and the standard deviation divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelNormalization {
    /// In the network, which takes pixels in `0.0..=255.0`.
    Inside,
    /// In the calling program: the network takes normalized pixels.
    Outside,
}
