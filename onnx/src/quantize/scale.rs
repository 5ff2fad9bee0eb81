//! The steps of 8-bit numbers.

use crate::processor::products_saturate;

/// The most that a bias may take of an `i32` in which products are summed, so that the sum has room beside it.
const LARGEST_BIAS: f64 = (1_u32 << 30) as f64;

/// Which `i8` stand for weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightRange {
    /// -127 to 127: a symmetric range has no -128.
    Full,
    /// -64 to 64: two products with `u8` fit in 16 bits, 2 · 255 · 64 of 32767, so that kernels that add them there are exact.
    Half,
}

impl WeightRange {
    /// The range with which integers are fast and exact on this processor: half of it on x86-64 without VNNI. A file of either range is
    /// exact on every processor; without VNNI a full range takes slower kernels.
    #[must_use]
    pub fn of_this_processor() -> Self {
        if products_saturate() { Self::Half } else { Self::Full }
    }

    /// How many bits its steps take, the sign included.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Full => 8,
            Self::Half => 7,
        }
    }

    const fn largest(self) -> f32 {
        match self {
            Self::Full => 127.0,
            Self::Half => 64.0,
        }
    }
}

/// How `u8` stands for numbers: `scale * (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ActivationScale {
    pub(super) scale: f32,
    pub(super) zero_point: u8,
}

impl ActivationScale {
    /// For numbers in this range, zero included, which is what padding and rectifiers make. With a ceiling, no number is above
    /// it: ONNX Runtime drops a `Clip` before a `QuantizeLinear` only if that reaches no further.
    pub(super) fn of([low, high]: [f32; 2], ceiling: Option<f32>) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let mut scale = (high - low) / 255.0;
        if !scale.is_normal() {
            return Self { scale: 1.0, zero_point: 0 };
        }
        if let Some(ceiling) = ceiling.filter(|&ceiling| low == 0.0 && high <= ceiling) {
            while scale * 255.0 > ceiling {
                scale = scale.next_down();
            }
        }
        let zero_point = (-low / scale).round().clamp(0.0, 255.0) as u8;
        Self { scale, zero_point }
    }
}

/// Weights of one output channel as `i8`, and their bias as `i32`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WeightScale {
    pub(super) scale: f32,
    /// The scale of the bias is that of the products.
    pub(super) bias_scale: f32,
    range: WeightRange,
}

impl WeightScale {
    /// For a channel with weights up to `largest`, whose bias is added to products with activations of this scale. Weights
    /// that are tiny beside their bias get larger steps than they need, so that the bias fits.
    pub(super) fn of(range: WeightRange, largest: f32, bias: f32, input: ActivationScale) -> Self {
        let for_weights = f64::from(largest) / f64::from(range.largest());
        let for_bias = f64::from(bias).abs() / (f64::from(input.scale) * LARGEST_BIAS);
        let scale = for_weights.max(for_bias) as f32;
        let scale = if scale.is_normal() { scale } else { 1.0 };
        Self { scale, bias_scale: scale * input.scale, range }
    }

    pub(super) fn weight(&self, weight: f32) -> i8 {
        let largest = self.range.largest();
        (weight / self.scale).round_ties_even().clamp(-largest, largest) as i8
    }

    pub(super) fn bias(&self, bias: f32) -> i32 {
        (f64::from(bias) / f64::from(self.bias_scale)).round_ties_even() as i32
    }
}
