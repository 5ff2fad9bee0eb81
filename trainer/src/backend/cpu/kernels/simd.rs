//! The vector instructions of this processor.

use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};

/// What kernels are dispatched by: the widest instructions there are.
pub(crate) fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(Arch::new)
}

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
