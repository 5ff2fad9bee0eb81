//! The functions of oneDNN's C interface that are called, with the numbers of its enumerations.
//!
//! From `dnnl.h`, `dnnl_types.h` and `dnnl_common_types.h` of oneDNN 3.2; they stay as they are within version 3.

use std::ffi::{c_char, c_int, c_uint, c_void};

use libloading::Library;

/// `dnnl_engine_t`, `dnnl_memory_desc_t` and the like: pointers to what only the library looks into.
pub(super) type Handle = *mut c_void;
/// `dnnl_status_t`; 0 is success.
pub(super) type Status = c_int;
/// `dnnl_dims_t`.
pub(super) type Dims = [i64; 12];

/// `dnnl_version_t`.
#[repr(C)]
pub(super) struct Version {
    pub(super) major: c_int,
    pub(super) minor: c_int,
    pub(super) patch: c_int,
    hash: *const c_char,
    pub(super) cpu_runtime: c_uint,
    gpu_runtime: c_uint,
}

/// `dnnl_exec_arg_t`.
#[repr(C)]
pub(super) struct ExecArg {
    pub(super) arg: c_int,
    pub(super) memory: Handle,
}

pub(super) const SUCCESS: Status = 0;
pub(super) const OUT_OF_MEMORY: Status = 1;
pub(super) const CPU: c_int = 1;
pub(super) const IN_ORDER: c_uint = 1;
pub(super) const F32: c_int = 3;
pub(super) const BF16: c_int = 2;
pub(super) const FORWARD_TRAINING: c_int = 64;
pub(super) const CONVOLUTION_DIRECT: c_int = 1;
pub(super) const ELTWISE_RELU: c_int = 32;
pub(super) const SCRATCHPAD_USER: c_int = 1;
pub(super) const RUNTIMES: [c_uint; 2] = [1, 2];

/// `dnnl_format_tag_t`.
pub(super) mod tag {
    use super::c_int;

    pub(in super::super) const ANY: c_int = 1;
    pub(in super::super) const VECTOR: c_int = 2;
    pub(in super::super) const NHWC: c_int = 22;
    pub(in super::super) const HWIO: c_int = 28;
    pub(in super::super) const HWIGO: c_int = 39;
}

/// `dnnl_query_t`.
pub(super) mod query {
    use super::c_int;

    pub(in super::super) const WEIGHTS: c_int = 131;
    pub(in super::super) const DIFF_WEIGHTS: c_int = 132;
    pub(in super::super) const SCRATCHPAD: c_int = 136;
}

/// `DNNL_ARG_…`.
pub(super) mod arg {
    use super::c_int;

    pub(in super::super) const SRC: c_int = 1;
    pub(in super::super) const DST: c_int = 17;
    pub(in super::super) const WEIGHTS: c_int = 33;
    pub(in super::super) const BIAS: c_int = 41;
    pub(in super::super) const SCRATCHPAD: c_int = 80;
    pub(in super::super) const DIFF_SRC: c_int = 129;
    pub(in super::super) const DIFF_DST: c_int = 145;
    pub(in super::super) const DIFF_WEIGHTS: c_int = 161;
    pub(in super::super) const DIFF_BIAS: c_int = 169;
}

macro_rules! functions {
    ($($name:ident($($argument:ty),*) -> $result:ty;)*) => {
        /// They are valid as long as the library is loaded.
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> $result,)*
            /// OpenMP's, for the calling thread. A library without threads has none.
            pub(super) omp_set_num_threads: Option<unsafe extern "C" fn(c_int)>,
        }

        impl Functions {
            /// # Errors
            /// The loader's, which names the function that is not there.
            pub(super) fn of(library: &Library) -> Result<Self, libloading::Error> {
                #[expect(unsafe_code, reason = "functions of a library that is loaded at run time")]
                // SAFETY: the types are those of the header; a library that calls itself oneDNN 3 has these functions.
                unsafe {
                    Ok(Self {
                        $($name: *library.get(concat!("dnnl_", stringify!($name), "\0").as_bytes())?,)*
                        omp_set_num_threads: library.get(b"omp_set_num_threads\0").ok().map(|symbol| *symbol),
                    })
                }
            }
        }
    };
}

functions! {
    version() -> *const Version;
    engine_create(*mut Handle, c_int, usize) -> Status;
    stream_create(*mut Handle, Handle, c_uint) -> Status;
    stream_destroy(Handle) -> Status;
    memory_desc_create_with_tag(*mut Handle, c_int, *const i64, c_int, c_int) -> Status;
    memory_desc_clone(*mut Handle, Handle) -> Status;
    memory_desc_destroy(Handle) -> Status;
    memory_desc_get_size(Handle) -> usize;
    memory_create(*mut Handle, Handle, Handle, *mut c_void) -> Status;
    memory_destroy(Handle) -> Status;
    post_ops_create(*mut Handle) -> Status;
    post_ops_append_eltwise(Handle, c_int, f32, f32) -> Status;
    post_ops_destroy(Handle) -> Status;
    primitive_attr_create(*mut Handle) -> Status;
    primitive_attr_set_scratchpad_mode(Handle, c_int) -> Status;
    primitive_attr_set_post_ops(Handle, Handle) -> Status;
    primitive_attr_destroy(Handle) -> Status;
    primitive_desc_query_md(Handle, c_int, c_int) -> Handle;
    primitive_desc_destroy(Handle) -> Status;
    primitive_create(*mut Handle, Handle) -> Status;
    primitive_execute(Handle, Handle, c_int, *const ExecArg) -> Status;
    primitive_destroy(Handle) -> Status;
    reorder_primitive_desc_create(*mut Handle, Handle, Handle, Handle, Handle, Handle) -> Status;
    convolution_forward_primitive_desc_create(
        *mut Handle, Handle, c_int, c_int, Handle, Handle, Handle, Handle,
        *const i64, *const i64, *const i64, *const i64, Handle
    ) -> Status;
    convolution_backward_data_primitive_desc_create(
        *mut Handle, Handle, c_int, Handle, Handle, Handle,
        *const i64, *const i64, *const i64, *const i64, Handle, Handle
    ) -> Status;
    convolution_backward_weights_primitive_desc_create(
        *mut Handle, Handle, c_int, Handle, Handle, Handle, Handle,
        *const i64, *const i64, *const i64, *const i64, Handle, Handle
    ) -> Status;
}
