//! How the memory allocator gives memory back to the system. `docs/adr/0020-memory-given-back.md` has the measurements.
//!
//! Nothing is done where the C library is not glibc.

use std::time::{Duration, Instant};

use crate::metrics::resident_bytes;

/// Sets glibc's allocator up for a server, whose memory is a few models and, for moments, bodies and images of many
/// megabytes. By default, freed images stay with the thread that used them. Not for training, which takes and frees the same
/// large arrays at every step.
pub fn configure() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Larger pieces come from the system and go back to it when they are freed.
        const MMAP_FROM: i32 = 1 << 20;
        /// Smaller pieces are freed and taken all the time: what is given back of them must be worth a system call.
        const TRIM_FROM: i32 = 16 << 20;
        const GROW_BY: i32 = 1 << 20;
        let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, 1024) as i32);
        let settings = [
            (libc::M_MMAP_THRESHOLD, MMAP_FROM),
            (libc::M_TRIM_THRESHOLD, TRIM_FROM),
            (libc::M_TOP_PAD, GROW_BY),
            // Each pool of memory keeps what its threads have freed; by default there are eight for each processor.
            (libc::M_ARENA_MAX, threads),
        ];
        for (setting, value) in settings {
            #[expect(unsafe_code, reason = "a call of the C library")]
            // SAFETY: takes no pointer; glibc takes its own lock for the change (mallopt(3)).
            unsafe {
                libc::mallopt(setting, value);
            }
        }
    }
}

/// Gives back what requests have left behind between pieces that are still used, which `free` does not give back, until the
/// future is dropped: when the process has grown, and then until there is nothing more to give back.
pub async fn keep_trimmed() {
    const EVERY: Duration = Duration::from_secs(2);
    /// What is worth the millisecond or two that it takes, in which other threads wait for memory.
    const WORTH: u64 = 8 << 20;
    /// Less is what the requests in between have taken and freed again.
    const NOTHING: u64 = 1 << 20;
    let Some(mut settled) = resident_bytes() else { return };
    let mut given_back = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(before) = resident_bytes() else { return };
        if before <= settled.saturating_add(WORTH) && given_back < NOTHING {
            settled = settled.min(before);
            continue;
        }
        let started = Instant::now();
        // It cannot fail, and if the runtime is going, memory does not matter.
        drop(tokio::task::spawn_blocking(trim).await);
        settled = resident_bytes().unwrap_or(before);
        given_back = before.saturating_sub(settled);
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(before, after = settled, duration_ms, "unused pages were given back");
    }
}

/// Gives pages that hold nothing back to the system. Takes some milliseconds; for moments after much was freed.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "a call of the C library")]
        // SAFETY: takes no pointer, and any thread may call it at any time (malloc_trim(3)).
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
