//! The vector instructions of this processor.

use std::sync::OnceLock;

use pulp::Arch;

/// What the processor has, found out once. What runs inside [`Arch::dispatch`] is compiled for it as far as it is inlined there.
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(Arch::new)
}
