//! Descriptors, primitives and their arguments as owned values with checked lengths, so that callers are safe code.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use super::functions::{Dims, ExecArg, Functions, Handle, IN_ORDER, SCRATCHPAD_USER, Status, arg, query, tag};
use super::library::{OneDnn, OneDnnError, check};
use crate::backend::cpu::kernels::element::DType;
use crate::backend::cpu::kernels::epilogue::Epilogue;

/// The shape, dtype and order of an array in memory (`dnnl_memory_desc_t`).
pub(super) struct Desc(Owned);

/// One computation on arrays of one size.
pub(super) struct Primitive {
    desc: Owned,
    primitive: Owned,
    scratch: Desc,
}

/// An argument of a computation: which one, how it lies, where it is.
pub(super) struct Argument<'a> {
    pub(super) arg: c_int,
    pub(super) desc: &'a Desc,
    pub(super) memory: Memory<'a>,
}

pub(super) enum Memory<'a> {
    Read(&'a [u8]),
    Write(&'a mut [u8]),
}

/// `dnnl_primitive_attr_t`: the scratchpad mode and the fused ReLU.
pub(super) struct Attributes(Owned);

/// A handle and the function that frees it.
struct Owned {
    handle: Handle,
    free: unsafe extern "C" fn(Handle) -> Status,
    /// The function is the library's.
    _library: OneDnn,
}

#[expect(unsafe_code, reason = "handles of the library are pointers")]
// SAFETY: descriptors and primitives do not change once made, and any thread may use and free them.
unsafe impl Send for Owned {}
#[expect(unsafe_code, reason = "handles of the library are pointers")]
// SAFETY: as above; what execution writes to are its arguments, among which is the scratchpad.
unsafe impl Sync for Owned {}

impl Owned {
    fn new(
        library: &OneDnn,
        what: &'static str,
        free: unsafe extern "C" fn(Handle) -> Status,
        make: impl FnOnce(&Functions, *mut Handle) -> Status,
    ) -> Result<Self, OneDnnError> {
        let mut handle = null_mut();
        check(what, make(library.functions(), &raw mut handle))?;
        Ok(Self { handle, free, _library: library.clone() })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "a call of the library")]
        // SAFETY: the handle was made by the library, for this function, and is freed once.
        unsafe {
            (self.free)(self.handle);
        }
    }
}

impl Desc {
    pub(super) fn new(library: &OneDnn, dims: &[usize], dtype: DType, tag: c_int) -> Result<Self, OneDnnError> {
        let mut all: Dims = [0; 12];
        all.iter_mut().zip(dims).for_each(|(all, &dim)| *all = dim as i64);
        let kind = match dtype {
            DType::F32 => super::functions::F32,
            DType::Bf16 => super::functions::BF16,
        };
        let free = library.functions().memory_desc_destroy;
        let desc = Owned::new(library, "describe an array", free, |functions, handle| {
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: there are as many dimensions as it is told, in an array of the length that its type has.
            unsafe {
                (functions.memory_desc_create_with_tag)(handle, dims.len() as c_int, all.as_ptr(), kind, tag)
            }
        });
        desc.map(Self)
    }

    /// A vector of `f32`.
    pub(super) fn vector(library: &OneDnn, length: usize) -> Result<Self, OneDnnError> {
        Self::new(library, &[length], DType::F32, tag::VECTOR)
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.handle
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        #[expect(unsafe_code, reason = "a call of the library")]
        // SAFETY: the handle is of a descriptor.
        unsafe {
            (self.0._library.functions().memory_desc_get_size)(self.0.handle)
        }
    }
}

impl Attributes {
    /// With scratch memory from the caller, and a fused ReLU where the epilogue has one.
    pub(super) fn new(library: &OneDnn, epilogue: Epilogue) -> Result<Self, OneDnnError> {
        let functions = library.functions();
        #[expect(unsafe_code, reason = "calls of the library")]
        // SAFETY: the pointers are to handles that are written; both handles are of the kinds that the calls take.
        unsafe {
            let attributes =
                Owned::new(library, "make attributes", functions.primitive_attr_destroy, |functions, handle| {
                    (functions.primitive_attr_create)(handle)
                })?;
            let status = (functions.primitive_attr_set_scratchpad_mode)(attributes.handle, SCRATCHPAD_USER);
            check("leave memory to the caller", status)?;
            if epilogue.has_relu() {
                let ops = Owned::new(library, "make attributes", functions.post_ops_destroy, |functions, handle| {
                    (functions.post_ops_create)(handle)
                })?;
                let relu = super::functions::ELTWISE_RELU;
                check("add a ReLU", (functions.post_ops_append_eltwise)(ops.handle, relu, 0.0, 0.0))?;
                check("add a ReLU", (functions.primitive_attr_set_post_ops)(attributes.handle, ops.handle))?;
            }
            Ok(Self(attributes))
        }
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.handle
    }
}

impl Primitive {
    /// `describe` calls one of the library's `…_primitive_desc_create`.
    pub(super) fn new(
        library: &OneDnn,
        what: &'static str,
        describe: impl FnOnce(&Functions, *mut Handle) -> Status,
    ) -> Result<Self, OneDnnError> {
        let functions = library.functions();
        let desc = Owned::new(library, what, functions.primitive_desc_destroy, describe)?;
        let primitive = Owned::new(library, what, functions.primitive_destroy, |functions, handle| {
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: the handle is of a primitive's descriptor.
            unsafe {
                (functions.primitive_create)(handle, desc.handle)
            }
        })?;
        let scratch = queried(library, &desc, query::SCRATCHPAD)?;
        Ok(Self { desc, primitive, scratch })
    }

    /// A copy into another order or dtype.
    pub(super) fn reorder(library: &OneDnn, from: &Desc, to: &Desc) -> Result<Self, OneDnnError> {
        let attributes = Attributes::new(library, Epilogue::Identity)?;
        Self::new(library, "plan a copy", |functions, handle| {
            let (create, engine) = (functions.reorder_primitive_desc_create, library.engine());
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: the handles are of descriptors, of the engine and of attributes.
            unsafe {
                create(handle, from.handle(), engine, to.handle(), engine, attributes.handle())
            }
        })
    }

    /// The descriptor that the library has chosen for an argument with [`tag::ANY`].
    pub(super) fn chosen(&self, what: c_int) -> Result<Desc, OneDnnError> {
        queried(&self.desc._library, &self.desc, what)
    }

    pub(super) fn desc(&self) -> Handle {
        self.desc.handle
    }

    /// Bytes of scratch memory that [`Primitive::run`] needs.
    pub(super) fn scratch(&self) -> usize {
        self.scratch.size()
    }

    /// Computes. Every argument that the library writes must be [`Memory::Write`].
    ///
    /// # Errors
    /// [`OneDnnError::Refused`] for an array that is shorter than its descriptor, and the library's own.
    pub(super) fn run<const N: usize>(
        &self,
        scratch: &mut [u8],
        arguments: [Argument<'_>; N],
    ) -> Result<(), OneDnnError> {
        let library = &self.desc._library;
        let scratch = Argument { arg: arg::SCRATCHPAD, desc: &self.scratch, memory: Memory::Write(scratch) };
        let mut memories = Vec::with_capacity(N + 1);
        let mut list = Vec::with_capacity(N + 1);
        for argument in arguments.into_iter().chain([scratch]) {
            let (start, bytes): (*mut c_void, usize) = match argument.memory {
                Memory::Read(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
                Memory::Write(bytes) => (bytes.as_mut_ptr().cast(), bytes.len()),
            };
            if bytes < argument.desc.size() {
                return Err(OneDnnError::Refused { what: "compute on an array that is too short", status: 2 });
            }
            let free = library.functions().memory_destroy;
            let memory = Owned::new(library, "describe memory", free, |functions, handle| {
                #[expect(unsafe_code, reason = "a call of the library")]
                // SAFETY: the memory is as long as its descriptor says and borrowed until the computation has ended.
                unsafe {
                    (functions.memory_create)(handle, argument.desc.handle(), library.engine(), start)
                }
            })?;
            list.push(ExecArg { arg: argument.arg, memory: memory.handle });
            memories.push(memory);
        }
        library.set_threads();
        let free = library.functions().stream_destroy;
        let stream = Owned::new(library, "open a stream", free, |functions, handle| {
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: the engine is the library's.
            unsafe {
                (functions.stream_create)(handle, library.engine(), IN_ORDER)
            }
        })?;
        #[expect(unsafe_code, reason = "a call of the library")]
        // SAFETY: there are as many arguments as it is told. Their memory is long enough, and what is written is borrowed
        // for that. On the CPU the call returns when the computation has ended.
        let status = unsafe {
            let execute = library.functions().primitive_execute;
            execute(self.primitive.handle, stream.handle, list.len() as c_int, list.as_ptr())
        };
        drop(memories);
        check("compute", status)
    }
}

fn queried(library: &OneDnn, primitive: &Owned, what: c_int) -> Result<Desc, OneDnnError> {
    let free = library.functions().memory_desc_destroy;
    let desc = Owned::new(library, "describe an array", free, |functions, handle| {
        #[expect(unsafe_code, reason = "calls of the library")]
        // SAFETY: the descriptor that is asked for belongs to the primitive's; it is copied while that is there.
        unsafe {
            (functions.memory_desc_clone)(handle, (functions.primitive_desc_query_md)(primitive.handle, what, 0))
        }
    });
    desc.map(Desc)
}
