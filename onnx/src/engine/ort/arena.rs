//! One working memory for all sessions.

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

/// Gives the environment an arena, which its sessions take their working memory from if they say so. A session has one of its
/// own otherwise, that holds what its largest run took: a hundred models with three sessions each would hold gigabytes, of which
/// no more is used at a time than there are threads.
///
/// # Errors
/// ONNX Runtime's, for an environment that has one.
pub(super) fn share(environment: &Environment) -> ort::Result<()> {
    let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let (environment, default_growth) = (environment.ptr().cast_mut(), std::ptr::null());
    #[expect(unsafe_code, reason = "`ort` has no function for it")]
    // SAFETY: the environment and the description of the memory are live for the call, which copies what it needs of them and
    // takes null for an arena that grows by default. The status is the call's own, and is released by the conversion.
    unsafe {
        let status = (ort::api().CreateAndRegisterAllocator)(environment, memory.ptr(), default_growth);
        ort::Error::result_from_status(status)
    }
}
