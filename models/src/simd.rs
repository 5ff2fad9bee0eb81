//! The vector instructions of this processor.

use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};

/// What the processor has, found out once. What runs inside [`Arch::dispatch`] is compiled for it as far as it is inlined there:
/// an [`inline(always)`](WithSimd) kernel is, and for an expression there is [`vectorized!`](crate::vectorized). A closure as it
/// stands is not: `dispatch` calls it by a function of its own, which is compiled for processors without these instructions.
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(Arch::new)
}

/// Computes an expression with the vector instructions that this processor has: the loops in it, and what is inlined into them.
#[macro_export]
macro_rules! vectorized {
    ($body:expr) => {
        $crate::simd::dispatch(
            #[inline(always)]
            || $body,
        )
    };
}

/// What [`vectorized!`](crate::vectorized) stands for; the closure has to be `inline(always)`.
#[inline]
pub fn dispatch<R>(body: impl FnMut() -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnMut() -> R> WithSimd for Body<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    arch().dispatch(Body(body))
}
