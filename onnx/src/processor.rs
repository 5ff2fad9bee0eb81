//! What this processor does with 8-bit integers.

/// Whether two products of `u8` and `i8` are added in 16 bits, where they saturate: ONNX Runtime's kernels do so on x86-64 without
/// VNNI (its `MlasPlatformU8S8Overflow` says that of every x86-64 processor with AVX2, VNNI or not).
pub(crate) fn products_saturate() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !std::arch::is_x86_feature_detected!("avx512vnni") && !std::arch::is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
