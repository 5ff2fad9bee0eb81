//! Which kernels train, and why.

use thiserror::Error;
use trainer::backend::{ComputeBackend, Precision, onednn};

use crate::config::{DataDir, KernelArgs, KernelChoice, PrecisionChoice};

/// What computes the steps of training in this process.
#[derive(Debug, Clone)]
pub struct SelectedKernels {
    /// Which they are.
    pub kernels: ComputeBackend,
    /// Why these; a sentence's second half.
    pub reason: String,
}

/// What the user asked for cannot be had.
#[derive(Debug, Error)]
pub enum KernelError {
    /// oneDNN was asked for and there is none.
    #[error(
        "no usable oneDNN: {tried}; run `graft runtime install onednn`, name a library with --onednn-lib, or use --kernels rust"
    )]
    None {
        /// What was looked at, and why it is not used.
        tried: String,
    },
    /// graft's own kernels know `f32` alone.
    #[error("--precision bf16 needs oneDNN; use --kernels onednn or --precision f32")]
    Precision,
}

/// Loads oneDNN's library if the user wants it, and says what came of it. `auto` falls back to graft's own kernels and
/// gives the reason; asking for oneDNN, or for what only oneDNN does, never does.
///
/// # Errors
/// [`KernelError`].
pub fn kernels(args: &KernelArgs, data: &DataDir) -> Result<SelectedKernels, KernelError> {
    let rust = |reason| SelectedKernels { kernels: ComputeBackend::Rust, reason };
    let precision = match args.precision {
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
    };
    match (args.kernels, precision) {
        (KernelChoice::Rust, Precision::F32) => return Ok(rust("chosen by --kernels".to_owned())),
        (KernelChoice::Rust, Precision::Bf16) => return Err(KernelError::Precision),
        (KernelChoice::Auto | KernelChoice::Onednn, _) => {}
    }
    let named = args.named_library().map(Into::into);
    let refused = match onednn::find(&onednn::Places { named, data: Some(data.runtime_dir()) }) {
        Ok((library, found)) => {
            let reason = format!("found {}", found.place);
            return Ok(SelectedKernels { kernels: ComputeBackend::OneDnn(library, precision), reason });
        }
        Err(refused) => refused,
    };
    let tried = match &refused[..] {
        [] => "no library was found".to_owned(),
        refused => refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    match (args.kernels, precision) {
        (KernelChoice::Auto, Precision::F32) => Ok(rust(format!("oneDNN is not used: {tried}"))),
        _ => Err(KernelError::None { tried }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// With a library that is none, so that what this machine has does not matter.
    fn chosen(kernels: KernelChoice, precision: PrecisionChoice) -> Result<SelectedKernels, KernelError> {
        let folder = tempfile::tempdir().unwrap();
        let library: PathBuf = folder.path().join("libdnnl.so.3");
        std::fs::write(&library, "no library").unwrap();
        let args = KernelArgs { kernels, precision, onednn_lib: Some(library) };
        super::kernels(&args, &DataDir::new(folder.path()))
    }

    #[test]
    fn auto_falls_back_and_says_why() {
        let selected = chosen(KernelChoice::Auto, PrecisionChoice::F32).unwrap();
        assert!(matches!(selected.kernels, ComputeBackend::Rust));
        assert!(selected.reason.contains("libdnnl.so.3"), "{}", selected.reason);
    }

    #[test]
    fn what_was_asked_for_by_name_is_had_or_refused() {
        for precision in [PrecisionChoice::F32, PrecisionChoice::Bf16] {
            let error = chosen(KernelChoice::Onednn, precision).unwrap_err();
            assert!(matches!(&error, KernelError::None { tried } if tried.contains("libdnnl.so.3")), "{error}");
        }
        assert!(matches!(chosen(KernelChoice::Auto, PrecisionChoice::Bf16), Err(KernelError::None { .. })));
        assert!(matches!(chosen(KernelChoice::Rust, PrecisionChoice::Bf16), Err(KernelError::Precision)));
        assert!(matches!(chosen(KernelChoice::Rust, PrecisionChoice::F32).unwrap().kernels, ComputeBackend::Rust));
    }

    #[test]
    fn another_process_is_told_the_same() {
        let args = KernelArgs {
            kernels: KernelChoice::Onednn,
            precision: PrecisionChoice::Bf16,
            onednn_lib: Some("libdnnl.so.3".into()),
        };
        let told = args.arguments();
        assert_eq!(told, ["--kernels", "onednn", "--precision", "bf16", "--onednn-lib", "libdnnl.so.3"]);
    }
}
