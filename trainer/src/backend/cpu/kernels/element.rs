//! The dtypes of arrays. Arithmetic is in `f32`, whatever the dtype.

use bytemuck::Pod;
use half::bf16;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DType {
    /// As it is computed.
    F32,
    /// `bf16`: the upper half of an `f32`, eight bits of mantissa.
    Bf16,
}

/// A number as an array stores it.
pub(crate) trait Element: Pod + Send + Sync {
    const DTYPE: DType;

    fn to_f32(self) -> f32;

    /// Rounds to the nearest, ties to even.
    fn from_f32(number: f32) -> Self;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(number: f32) -> Self {
        number
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// Without a branch, unlike [`bf16::from_f32`], so that compilers make vector instructions of it.
    #[inline(always)]
    fn from_f32(number: f32) -> Self {
        let bits = number.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // What is not a number stays so, although all its set bits may be in the lower half.
        let quiet = bits >> 16 | 0x40;
        Self::from_bits(if number.is_nan() { quiet } else { rounded } as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate() {
        let numbers = (0..=u32::MAX).step_by(9973).chain([0x7f80_0001, 0xff80_0001, 0x7f7f_ffff]).map(f32::from_bits);
        for number in numbers {
            let [actual, expected] = [<bf16 as Element>::from_f32(number), bf16::from_f32(number)].map(bf16::to_bits);
            assert_eq!(actual, expected, "{number:?} {:x}", number.to_bits());
        }
    }
}
