//! The library, loaded at run time.

use std::ffi::c_int;
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;
use thiserror::Error;

use super::functions::{CPU, Functions, Handle, RUNTIMES, SUCCESS, Status};

/// Bytes in a line of the cache.
pub(super) const LINE: usize = 64;

/// oneDNN, Intel's library of convolutions. Cloning shares it; once loaded it stays until the process ends.
#[derive(Clone)]
pub struct OneDnn(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    version: String,
    functions: Functions,
    engine: Handle,
    /// Memory of the call in progress, so that no more is held than the largest one needs.
    scratch: Mutex<Vec<u8>>,
    /// Never unloaded: threads of OpenMP may be waiting in it.
    _library: ManuallyDrop<Library>,
}

#[expect(unsafe_code, reason = "handles of the library are pointers")]
// SAFETY: an engine may be used from several threads; everything else is Send and Sync by itself.
unsafe impl Send for Loaded {}
#[expect(unsafe_code, reason = "handles of the library are pointers")]
// SAFETY: as above.
unsafe impl Sync for Loaded {}

/// Why oneDNN is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OneDnnError {
    /// The file cannot be read, or it is truncated, which loaders do not notice.
    #[error("{path} cannot be loaded: {reason}; run `graft runtime install onednn` for one that can")]
    Load {
        /// The library.
        path: PathBuf,
        /// What the system's loader says.
        reason: String,
    },
    /// Another library, or another version.
    #[error(
        "{path} is not usable: {reason}; oneDNN 3 for the CPU with OpenMP is needed, such as `graft runtime install onednn` puts into the data folder"
    )]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library refused to do something, for want of memory as a rule.
    #[error(
        "oneDNN failed to {what} (status {status}); use --kernels rust, --precision f32 if this processor has no bf16, or a smaller batch if memory is short"
    )]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// `dnnl_status_t`.
        status: i32,
    },
}

impl OneDnn {
    /// Loads a file.
    ///
    /// # Errors
    /// [`OneDnnError::Load`] when it is no library that loads here, [`OneDnnError::Unusable`] when it is another one.
    pub fn load(path: &Path) -> Result<Self, OneDnnError> {
        let failed = |reason: String| OneDnnError::Load { path: path.to_owned(), reason };
        let unusable = |reason: String| OneDnnError::Unusable { path: path.to_owned(), reason };
        // A name without a folder is for the system's loader to find.
        if path.components().count() > 1 {
            let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
            let needed = onnx::engine::library::needed_length(path).map_err(|error| failed(error.to_string()))?;
            if let Some(needed) = needed.filter(|&needed| needed > size) {
                return Err(failed(format!("it has {size} bytes of at least {needed}")));
            }
        }
        #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
        // SAFETY: the user has named it or put it where oneDNN is looked for; its initialisers are run as a linker would.
        let library = unsafe { Library::new(path) }.map_err(|error| failed(explain(&error)))?;
        let functions = Functions::of(&library).map_err(|error| unusable(explain(&error)))?;
        #[expect(unsafe_code, reason = "a call of the library")]
        // SAFETY: it takes nothing and answers a pointer to a constant of the library.
        let version = unsafe { &*(functions.version)() };
        let name = format!("{}.{}.{}", version.major, version.minor, version.patch);
        if version.major != 3 {
            return Err(unusable(format!("it is version {name}")));
        }
        // How many threads others use cannot be said, and sums depend on it.
        if !RUNTIMES.contains(&version.cpu_runtime) {
            return Err(unusable(format!("it is built for threads of kind {}", version.cpu_runtime)));
        }
        let mut engine = null_mut();
        #[expect(unsafe_code, reason = "a call of the library")]
        // SAFETY: the pointer is to a handle that is written.
        let status = unsafe { (functions.engine_create)(&raw mut engine, CPU, 0) };
        check("open the processor", status)?;
        Ok(Self(Arc::new(Loaded {
            path: path.to_owned(),
            version: name,
            functions,
            engine,
            scratch: Mutex::default(),
            _library: ManuallyDrop::new(library),
        })))
    }

    /// What the library says of itself, such as `3.2.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The file that was loaded.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.0.functions
    }

    pub(super) fn engine(&self) -> Handle {
        self.0.engine
    }

    /// Calls with memory of this many bytes that is used again. It begins with a line of the cache, as vectors do that
    /// are loaded fast.
    pub(super) fn with_scratch<R>(
        &self,
        bytes: usize,
        call: impl FnOnce(&mut [u8]) -> Result<R, OneDnnError>,
    ) -> Result<R, OneDnnError> {
        let mut scratch = self.0.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if scratch.len() < bytes + LINE {
            // The old one is freed first.
            *scratch = Vec::new();
            let status = super::functions::OUT_OF_MEMORY;
            let refused = |_| OneDnnError::Refused { what: "reserve memory", status };
            scratch.try_reserve_exact(bytes + LINE).map_err(refused)?;
            scratch.resize(bytes + LINE, 0);
        }
        let start = scratch.as_ptr().align_offset(LINE);
        call(&mut scratch[start..start + bytes])
    }

    /// As many threads as rayon has here, so that one setting holds for both.
    pub(super) fn set_threads(&self) {
        if let Some(set) = self.0.functions.omp_set_num_threads {
            let threads = rayon::current_num_threads() as c_int;
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: it changes a number of the calling thread.
            unsafe {
                set(threads);
            }
        }
    }
}

impl fmt::Debug for OneDnn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneDnn").field("path", &self.0.path).field("version", &self.0.version).finish_non_exhaustive()
    }
}

/// With what the system's loader said, which the message alone leaves out.
fn explain(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

pub(super) fn check(what: &'static str, status: Status) -> Result<(), OneDnnError> {
    if status == SUCCESS { Ok(()) } else { Err(OneDnnError::Refused { what, status }) }
}
