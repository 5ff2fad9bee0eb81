//! The choice of the training backend, with its reason.

use std::path::Path;

use thiserror::Error;
use trainer::backend::{ChosenDevice, ComputeBackend, DeviceChoice, DeviceError, OneDnn, OneDnnError, Precision};

use super::Library;
use super::search::{Candidate, candidates};
use crate::config::{DataDir, KernelChoice, KernelOptions};

/// The training backend of this process.
#[derive(Debug, Clone)]
pub struct SelectedKernels {
    /// graft's own kernels, oneDNN, or a device's.
    pub kernels: ComputeBackend,
    /// Why they were chosen, as the second half of a sentence.
    pub reason: String,
}

/// The user asked for a backend or precision that is not available.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The user asked for oneDNN and no library is usable.
    #[error(
        "no usable oneDNN: {tried}; run `graft runtime install onednn`, name a library with --onednn-lib, or use --kernels rust"
    )]
    None {
        /// Each candidate, and why it is not used.
        tried: String,
    },
    /// These kernels compute in `f32` alone.
    #[error(
        "--precision bf16 needs oneDNN or a CUDA device; use --device cpu and --kernels onednn, or --precision f32"
    )]
    Precision,
    /// The user asked for a device that there is not.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Takes the device that the user wants. On the processor loads oneDNN unless the user chose graft's own kernels. `auto` falls back to graft's own and gives the reason; asking
/// for oneDNN, or for a precision that not all have, never falls back.
///
/// # Errors
/// [`KernelError`].
pub fn kernels(options: &KernelOptions, data: &DataDir) -> Result<SelectedKernels, KernelError> {
    let ChosenDevice { backend, reason } = options.device.find()?;
    if let Some(device) = backend {
        match device.in_precision(options.precision) {
            Some(kernels) => return Ok(SelectedKernels { kernels, reason }),
            // A graphics processor that was not asked for gives way to a precision that was.
            None if options.device == DeviceChoice::Auto => {}
            None => return Err(KernelError::Precision),
        }
    }
    // Where a graphics processor could have been taken, it belongs to the reason that it was not.
    let is_built = cfg!(any(feature = "cuda", feature = "metal"));
    let because = |kernels: String| match options.device {
        DeviceChoice::Auto if is_built => format!("{kernels}; {reason}"),
        _ => kernels,
    };
    let rust = |reason| SelectedKernels { kernels: ComputeBackend::Rust, reason: because(reason) };
    match (options.kernels, options.precision) {
        (KernelChoice::Rust, Precision::F32) => return Ok(rust("chosen by --kernels".to_owned())),
        (KernelChoice::Rust, Precision::Bf16) => return Err(KernelError::Precision),
        (KernelChoice::Auto | KernelChoice::Onednn, _) => {}
    }
    let tried = match onednn(options.library.as_deref(), data) {
        Ok((library, candidate)) => {
            let reason = because(format!("found {}", candidate.place));
            return Ok(SelectedKernels { kernels: ComputeBackend::OneDnn(library, options.precision), reason });
        }
        Err(refused) if refused.is_empty() => "no library was found".to_owned(),
        Err(refused) => refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    match (options.kernels, options.precision) {
        (KernelChoice::Auto, Precision::F32) => Ok(rust(format!("oneDNN is not used: {tried}"))),
        _ => Err(KernelError::None { tried }),
    }
}

/// The first oneDNN that loads: the named file, or else one of the places of [`LibrarySpec`](super::LibrarySpec).
///
/// # Errors
/// Why each candidate is not used; empty if there is none.
pub fn onednn(named: Option<&Path>, data: &DataDir) -> Result<(OneDnn, Candidate), Vec<OneDnnError>> {
    let mut refused = Vec::new();
    for candidate in candidates(Library::OneDnn.spec(), named, &data.runtime_dir()) {
        match OneDnn::load(&candidate.path) {
            Ok(library) => return Ok((library, candidate)),
            // A bare name asks the system's loader; its failure says only that it knows no such library.
            Err(OneDnnError::Load { .. }) if candidate.path.components().count() == 1 => {}
            Err(error) => refused.push(error),
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// With a file that is no library, so that the libraries of this machine do not matter.
    fn selection(kernels: KernelChoice, precision: Precision) -> Result<SelectedKernels, KernelError> {
        let folder = tempfile::tempdir().unwrap();
        let library: PathBuf = folder.path().join("libdnnl.so.3");
        std::fs::write(&library, "no library").unwrap();
        let options = KernelOptions { device: DeviceChoice::Cpu, kernels, precision, library: Some(library) };
        super::kernels(&options, &DataDir::new(folder.path()))
    }

    #[test]
    fn auto_falls_back_and_says_why() {
        let selected = selection(KernelChoice::Auto, Precision::F32).unwrap();
        assert!(matches!(selected.kernels, ComputeBackend::Rust));
        assert!(selected.reason.contains("libdnnl.so.3"), "{}", selected.reason);
    }

    #[test]
    fn what_was_asked_for_by_name_is_had_or_refused() {
        for precision in [Precision::F32, Precision::Bf16] {
            let error = selection(KernelChoice::Onednn, precision).unwrap_err();
            assert!(matches!(&error, KernelError::None { tried } if tried.contains("libdnnl.so.3")), "{error}");
        }
        assert!(matches!(selection(KernelChoice::Auto, Precision::Bf16), Err(KernelError::None { .. })));
        assert!(matches!(selection(KernelChoice::Rust, Precision::Bf16), Err(KernelError::Precision)));
        assert!(matches!(selection(KernelChoice::Rust, Precision::F32).unwrap().kernels, ComputeBackend::Rust));
    }

    #[test]
    fn a_named_file_is_the_only_one_and_says_why_it_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("libdnnl.so.3");
        let find = || onednn(Some(&named), &DataDir::new(folder.path())).unwrap_err();
        assert!(matches!(&find()[..], [OneDnnError::Load { path, .. }] if *path == named));
        std::fs::write(&named, "not a library").unwrap();
        let [error] = &find()[..] else { panic!("one file, one reason") };
        assert!(error.to_string().contains("graft runtime install onednn"), "{error}");
    }
}
