//! The vector instructions of this processor.

pub(crate) use models::simd::arch;
use pulp::{Simd, WithSimd};

/// Numbers in a vector register.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    arch().dispatch(Lanes)
}
