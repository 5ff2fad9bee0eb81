//! Providers that compute inside ONNX Runtime and are libraries of their own.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use models::failure::chain;
use ort::device::Device;
use ort::environment::Environment;
use ort::memory::DeviceType;
use ort::session::builder::SessionBuilder;
use thiserror::Error;

use super::{LOADING, LoadError, Runtime, complete_library, loaded, refused};
use crate::engine::{EngineError, Provider, library};

/// The row of the table for one provider.
struct PluginSpec {
    provider: Provider,
    /// What ONNX Runtime knows the library by; any name would do.
    registration: &'static str,
    /// The provider in ONNX Runtime's words. A library may have devices of other names as well, such as one that chooses among the
    /// others.
    name: &'static str,
    device: DeviceType,
    /// How the names of libraries begin that lie beside it, and that the loader maps with it.
    companions: &'static [&'static str],
    /// Libraries that it needs and that the loader does not find by itself, in the order to load them. They are looked for in the
    /// folder that Python keeps packages in, if it is in one.
    packaged: &'static [&'static str],
    /// Settings of a session with so many threads.
    options: fn(NonZeroUsize) -> Vec<(&'static str, String)>,
    /// Where a library does not load: what it takes.
    needs: &'static str,
    /// Where it has no device: which it takes.
    takes: &'static str,
}

const PLUGINS: [PluginSpec; 3] = [
    PluginSpec {
        provider: Provider::OpenVino,
        registration: "graft-openvino",
        name: "OpenVINOExecutionProvider",
        device: DeviceType::CPU,
        companions: &["libopenvino", "libtbb"],
        packaged: &[],
        // Without the hint it computes in bf16 where the processor can, which differs by 3e-2. Pinned, the engines of all sessions
        // would work on the same core: 15.8 images/s with two of them, 35.2 without.
        options: |threads| {
            let configuration = format!(
                r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"f32","INFERENCE_NUM_THREADS":"{threads}","NUM_STREAMS":"1","ENABLE_CPU_PINNING":"NO"}}}}"#
            );
            vec![("load_config", configuration)]
        },
        needs: "it needs its own libraries beside it",
        takes: "OpenVINO's provider takes Intel's",
    },
    PluginSpec {
        provider: Provider::Cuda,
        registration: "graft-cuda",
        name: "CUDAExecutionProvider",
        device: DeviceType::GPU,
        companions: &["libonnxruntime_providers_shared"],
        packaged: &[
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libnvrtc.so.13",
            "nvidia/cu13/lib/libcublasLt.so.13",
            "nvidia/cu13/lib/libcublas.so.13",
            "nvidia/cu13/lib/libcurand.so.10",
            "nvidia/cu13/lib/libcufft.so.12",
            "nvidia/cudnn/lib/libcudnn.so.9",
        ],
        // By default it computes in TF32, whose 10 bits are further from the recorded answers than is allowed.
        options: |_| vec![("use_tf32", "0".to_owned())],
        needs: "it needs NVIDIA's driver, the runtime, cuBLAS and cuRAND of CUDA 13, and cuDNN 9, which \
                `pip install nvidia-cublas nvidia-curand 'onnxruntime-gpu[cuda,cudnn]'` brings, all but the driver",
        takes: "CUDA's provider takes NVIDIA's, with their driver",
    },
    PluginSpec {
        provider: Provider::WebGpu,
        registration: "graft-webgpu",
        name: "WebGpuExecutionProvider",
        device: DeviceType::GPU,
        companions: &[],
        packaged: &[],
        options: |_| vec![],
        needs: "it needs Vulkan's loader, `libvulkan.so.1`, on Linux",
        takes: "WebGPU's provider takes those that Vulkan's loader, `libvulkan.so.1`, or Metal offers",
    },
];

impl PluginSpec {
    fn of(provider: Provider) -> Option<&'static Self> {
        PLUGINS.iter().find(|plugin| plugin.provider == provider)
    }

    /// What it computes on.
    fn device<'e>(&self, environment: &'e Environment) -> Option<Device<'e>> {
        find_device(environment, self.name, self.device)
    }

    fn no_device(&self, path: PathBuf, environment: &Environment) -> ProviderError {
        let takes = self.takes;
        let (device, reason) = match self.device {
            DeviceType::CPU => {
                ("processor", format!("{takes}, and this one says that it is of {}", vendor(environment)))
            }
            _ => ("graphics processor", format!("{takes}, and ONNX Runtime sees none")),
        };
        ProviderError::NoDevice { path, device, reason }
    }
}

/// The libraries that ONNX Runtime has taken. They stay for the life of the process, even if they have no device.
static REGISTERED: Mutex<Vec<(Provider, PathBuf)>> = Mutex::new(Vec::new());

/// Why a file is not a usable provider.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// There is nothing that could load it.
    #[error("{} computes inside ONNX Runtime, and that is not loaded; run `graft runtime install` first", .0.title())]
    NoRuntime(Provider),
    /// The library, or one that it needs and that lies beside it, cannot be read or is cut off.
    #[error(transparent)]
    Library(#[from] LoadError),
    /// It shares the inner interfaces of one build of ONNX Runtime, and another was loaded.
    #[error(
        "{path} works with the ONNX Runtime of its own package alone, and {runtime} was loaded; name the \
         `libonnxruntime` beside it with --ort-lib"
    )]
    Foreign {
        /// The provider's library.
        path: PathBuf,
        /// The library of ONNX Runtime.
        runtime: PathBuf,
    },
    /// ONNX Runtime refuses it.
    #[error("{path} is not a usable {} provider: {reason} ({needs})", provider.title())]
    Unusable {
        /// What it should be.
        provider: Provider,
        /// The provider's library.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
        /// What it would take.
        needs: &'static str,
    },
    /// It loads, and has nothing to compute on.
    #[error("{path} offers no {device} here: {reason}")]
    NoDevice {
        /// The provider's library.
        path: PathBuf,
        /// A processor, or a graphics processor.
        device: &'static str,
        /// Which it takes, and what there is.
        reason: String,
    },
}

/// Loads a provider into ONNX Runtime, once for the life of the process: after ONNX Runtime has taken a library, every call is about
/// that one. ONNX Runtime's own kernels are always there.
///
/// # Errors
/// [`ProviderError`].
pub fn load_provider(provider: Provider, path: &Path) -> Result<(), ProviderError> {
    let Some(plugin) = PluginSpec::of(provider) else { return Ok(()) };
    let runtime = loaded().ok_or(ProviderError::NoRuntime(provider))?;
    let _once = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    let known = registered().iter().find(|(known, _)| *known == provider).map(|(_, path)| path.clone());
    let path = match known {
        Some(path) => path,
        None => {
            let path = register(plugin, runtime, path)?;
            registered().push((provider, path.clone()));
            path
        }
    };
    match plugin.device(&runtime.environment) {
        Some(_) => Ok(()),
        None => Err(plugin.no_device(path, &runtime.environment)),
    }
}

fn registered() -> MutexGuard<'static, Vec<(Provider, PathBuf)>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register(plugin: &PluginSpec, runtime: &Runtime, path: &Path) -> Result<PathBuf, ProviderError> {
    let path = complete_library(path)?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    // The loader maps those that lie beside it as well.
    let beside = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for companion in beside.filter(|path| is_companion(plugin, path)) {
        complete_library(&companion)?;
    }
    if needs_own_runtime(&path)? && runtime.path.parent() != Some(&folder) {
        return Err(ProviderError::Foreign { path, runtime: runtime.path.clone() });
    }
    let unusable = |reason: String| ProviderError::Unusable {
        provider: plugin.provider,
        path: path.clone(),
        reason,
        needs: plugin.needs,
    };
    for library in packaged(plugin, &folder) {
        let library = complete_library(&library)?;
        ort::util::preload_dylib(&library).map_err(|error| unusable(chain(&error)))?;
    }
    runtime.environment.register_ep_library(plugin.registration, &path).map_err(|error| unusable(chain(&error)))?;
    Ok(path)
}

fn is_companion(plugin: &PluginSpec, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    plugin.companions.iter().any(|start| name.starts_with(start))
}

/// Whether a provider calls ONNX Runtime by its C++ interfaces, which change with every version, and not by those of plug-ins. ONNX
/// Runtime takes it all the same, and another version would crash in the first session.
fn needs_own_runtime(path: &Path) -> Result<bool, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    library::names_symbol(path, "Provider_GetHost").map_err(read)
}

/// The libraries from other packages that there are, where the provider is one or two folders deep in a folder of packages.
fn packaged(plugin: &PluginSpec, folder: &Path) -> Vec<PathBuf> {
    let packages = || folder.ancestors().skip(1).take(2);
    let found = |library: &&str| packages().map(|packages| packages.join(library)).find(|path| path.is_file());
    plugin.packaged.iter().filter_map(found).collect()
}

/// A device, as a provider offers it.
fn find_device<'e>(environment: &'e Environment, provider: &str, device: DeviceType) -> Option<Device<'e>> {
    let fits = |found: &Device<'_>| found.hardware_device().ty() == device;
    environment.devices().find(|device| device.ep().is_ok_and(|name| name == provider) && fits(device))
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
    if registered().is_empty() {
        return Ok(builder);
    }
    match find_device(&runtime.environment, "CPUExecutionProvider", DeviceType::CPU) {
        Some(device) => builder.with_devices([device], None).map_err(refused),
        None => Ok(builder),
    }
}

/// Gives a session to a provider, all of it.
pub(super) fn choose(
    builder: SessionBuilder,
    runtime: &Runtime,
    provider: Provider,
    threads: NonZeroUsize,
) -> Result<SessionBuilder, EngineError> {
    let Some(plugin) = PluginSpec::of(provider) else { return keep_out(builder, runtime) };
    let device = plugin.device(&runtime.environment).ok_or(EngineError::NoProvider(provider))?;
    let options = (plugin.options)(threads).into_iter();
    let options: Vec<_> = options.map(|(key, value)| (format!("{}.{key}", plugin.name), value)).collect();
    builder
        .with_devices([device], Some(&options))
        // Nodes that it does not know would be left to ONNX Runtime's own kernels, and nobody would be told.
        .and_then(|builder| builder.with_config_entry("session.disable_cpu_ep_fallback", "1"))
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_but_the_own_kernels_is_a_library_of_a_name_of_its_own() {
        for provider in Provider::PLUGINS {
            assert!(PluginSpec::of(provider).is_some_and(|plugin| plugin.provider == provider), "{provider}");
        }
        assert!(PluginSpec::of(Provider::Cpu).is_none());
    }

    #[test]
    fn libraries_of_other_packages_are_found_beside_the_provider_s() {
        let packages = tempfile::tempdir().unwrap();
        let capi = packages.path().join("onnxruntime/capi");
        for folder in [&capi, &packages.path().join("nvidia/cu13/lib"), &packages.path().join("nvidia/cudnn/lib")] {
            fs::create_dir_all(folder).unwrap();
        }
        // The order is the loader's: what others need comes first.
        let present =
            ["nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cu13/lib/libcublas.so.13"].map(|p| packages.path().join(p));
        present.iter().for_each(|path| fs::write(path, "").unwrap());
        let plugin = PluginSpec::of(Provider::Cuda).unwrap();
        assert_eq!(packaged(plugin, &capi), [present[1].clone(), present[0].clone()]);
        assert_eq!(packaged(plugin, &packages.path().join("onnxruntime_ep_cuda")).len(), 2);
        assert_eq!(packaged(plugin, Path::new("/nowhere/at/all")), Vec::<PathBuf>::new());
    }
}
