//! OpenVINO, which computes inside ONNX Runtime: a plug-in provider in a library of its own.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError};

use models::failure::chain;
use ort::device::Device;
use ort::environment::Environment;
use ort::memory::DeviceType;
use ort::session::builder::SessionBuilder;
use thiserror::Error;

use super::{LOADING, LoadError, Runtime, complete_library, loaded, refused};
use crate::engine::EngineError;

/// What ONNX Runtime knows the library by; any name would do.
const REGISTRATION: &str = "graft-openvino";
/// The plug-in has devices of other names as well, such as one that chooses among the others.
const PROVIDER: &str = "OpenVINOExecutionProvider";
/// ONNX Runtime's own kernels, in its words.
const OWN: &str = "CPUExecutionProvider";

/// The library that ONNX Runtime has taken. It stays for the life of the process, even if it has no device.
static REGISTERED: OnceLock<PathBuf> = OnceLock::new();

/// Why a file is not a usable OpenVINO provider.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// There is nothing that could load it.
    #[error("OpenVINO computes inside ONNX Runtime, and that is not loaded; run `graft runtime install` first")]
    NoRuntime,
    /// The library, or one that it needs and that lies beside it, cannot be read or is cut off.
    #[error(transparent)]
    Library(#[from] LoadError),
    /// ONNX Runtime refuses it.
    #[error("{path} is not a usable OpenVINO provider: {reason}")]
    Unusable {
        /// The provider's library.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// It loads, and has nothing to compute on.
    #[error(
        "{path} offers no processor here: OpenVINO's provider takes Intel's, and this one says that it is of {vendor}"
    )]
    NoDevice {
        /// The provider's library.
        path: PathBuf,
        /// Whose processor this is.
        vendor: String,
    },
}

/// Loads OpenVINO's provider into ONNX Runtime, once for the life of the process: after ONNX Runtime has taken a library, every call
/// is about that one.
///
/// # Errors
/// [`ProviderError`].
pub fn load_openvino(path: &Path) -> Result<(), ProviderError> {
    let runtime = loaded().ok_or(ProviderError::NoRuntime)?;
    let _once = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = match REGISTERED.get() {
        Some(path) => path.clone(),
        None => {
            let path = register(runtime, path)?;
            REGISTERED.get_or_init(|| path).clone()
        }
    };
    match device(&runtime.environment) {
        Some(_) => Ok(()),
        None => Err(ProviderError::NoDevice { path, vendor: vendor(&runtime.environment) }),
    }
}

fn register(runtime: &Runtime, path: &Path) -> Result<PathBuf, ProviderError> {
    let path = complete_library(path)?;
    // The loader maps those that lie beside it as well.
    let beside = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for library in beside.map(|entry| entry.path()).filter(|path| is_needed(path)) {
        complete_library(&library)?;
    }
    let unusable = |error: ort::Error| ProviderError::Unusable { path: path.clone(), reason: chain(&error) };
    runtime.environment.register_ep_library(REGISTRATION, &path).map_err(unusable)?;
    Ok(path)
}

/// Whether a file is one of OpenVINO's libraries, or of the threads that it works with.
fn is_needed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["libopenvino", "libtbb"].iter().any(|start| name.starts_with(start))
}

/// The processor, as OpenVINO offers it.
fn device(environment: &Environment) -> Option<Device<'_>> {
    processor(environment, PROVIDER)
}

/// The processor, as a provider offers it.
fn processor<'e>(environment: &'e Environment, provider: &str) -> Option<Device<'e>> {
    let is_processor = |device: &Device<'_>| device.hardware_device().ty() == DeviceType::CPU;
    environment.devices().find(|device| device.ep().is_ok_and(|name| name == provider) && is_processor(device))
}

/// Whose the processor is, as ONNX Runtime knows it.
fn vendor(environment: &Environment) -> String {
    let processor = environment.devices().map(|device| device.hardware_device());
    let vendor = processor.filter(|device| device.ty() == DeviceType::CPU).find_map(|device| device.vendor().ok());
    vendor.unwrap_or("an unknown maker").to_owned()
}

/// Gives a session to ONNX Runtime's own kernels. Without a word it would choose among what it has loaded, and `ort` asks it to: it
/// takes OpenVINO then, in the precision that OpenVINO likes best.
pub(super) fn keep_out(builder: SessionBuilder, runtime: &Runtime) -> Result<SessionBuilder, EngineError> {
    match processor(&runtime.environment, OWN).filter(|_| REGISTERED.get().is_some()) {
        Some(device) => builder.with_devices([device], None).map_err(refused),
        None => Ok(builder),
    }
}

/// Gives a session to OpenVINO, all of it.
pub(super) fn choose(
    builder: SessionBuilder,
    runtime: &Runtime,
    threads: NonZeroUsize,
) -> Result<SessionBuilder, EngineError> {
    let device = device(&runtime.environment).ok_or(EngineError::NoProvider)?;
    // Without the hint it computes in bf16 where the processor can, which differs by 3e-2. Pinned, the engines of all sessions
    // would work on the same core: 15.8 images/s with two of them, 35.2 without.
    let configuration = format!(
        r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"f32","INFERENCE_NUM_THREADS":"{threads}","NUM_STREAMS":"1","ENABLE_CPU_PINNING":"NO"}}}}"#
    );
    let options = [(format!("{PROVIDER}.load_config"), configuration)];
    builder
        .with_devices([device], Some(&options))
        // Nodes that it does not know would be left to ONNX Runtime's own kernels, and nobody would be told.
        .and_then(|builder| builder.with_config_entry("session.disable_cpu_ep_fallback", "1"))
        .map_err(refused)
}
