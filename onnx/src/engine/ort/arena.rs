//! One working memory for all sessions.

use std::ffi::CStr;

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

/// In regions of 2 MB, and not of twice the size with each: what they have too much, nobody uses. Smaller ones would come from the
/// allocator's pools, between what requests take and free.
const GROWTH: [(&CStr, usize); 3] = [
    (c"initial_chunk_size_bytes", 2 << 20),
    (c"initial_growth_chunk_size_bytes", 2 << 20),
    (c"max_power_of_two_extend_bytes", 2 << 20),
];

/// Gives the environment an arena, which its sessions take their working memory from if they say so. A session has one of its
/// own otherwise, that holds what its largest run took: a hundred models with three sessions each would hold gigabytes, of which
/// no more is used at a time than there are threads.
///
/// # Errors
/// ONNX Runtime's, for an environment that has one.
pub(super) fn share(environment: &Environment) -> ort::Result<()> {
    let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let (keys, values): (Vec<_>, Vec<usize>) = GROWTH.iter().map(|(key, value)| (key.as_ptr(), *value)).unzip();
    let (api, mut growth) = (ort::api(), std::ptr::null_mut());
    #[expect(unsafe_code, reason = "`ort` has no function for it")]
    // SAFETY: keys and values are as many as is said, the keys end with a zero, and they, the environment and the description of
    // the memory are live for the calls, which copy what they need of them. Each status is its call's own, and is released by the
    // conversion; the description of the growth is released once, after its last use.
    unsafe {
        let status = (api.CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), keys.len(), &raw mut growth);
        ort::Error::result_from_status(status)?;
        let status = (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), growth);
        (api.ReleaseArenaCfg)(growth);
        ort::Error::result_from_status(status)
    }
}
