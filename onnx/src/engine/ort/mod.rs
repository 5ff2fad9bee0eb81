//! ONNX Runtime, from a library that is loaded at run time.

mod arena;
mod plugin;
mod shared;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use models::Tensor;
use models::failure::chain;
use models::preprocess::ImageBatch;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::logging::LoggerFunction;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{NoSelectedOutputs, RunOptions, Session};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};
use thiserror::Error;

use super::{Engine, EngineError, EngineKind, EngineSet, Outputs, Provider, library};
use crate::processor::products_saturate;
use shared::OptimizedModel;

pub use plugin::{ProviderError, load_provider};

/// The loaded library. There is at most one in a process.
#[derive(Clone)]
pub struct Runtime {
    path: PathBuf,
    version: String,
    environment: Environment,
    threads: NonZeroUsize,
}

impl Runtime {
    /// The library file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the library says of itself, such as `1.32.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Why a file is not a usable ONNX Runtime library.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The library.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file ends before its last segment.
    #[error("{path} is truncated: it has {found} bytes of at least {needed}; install it again")]
    Truncated {
        /// The library.
        path: PathBuf,
        /// Bytes in the file.
        found: u64,
        /// Bytes that its segments need.
        needed: u64,
    },
    /// The loader refuses it, or it is something else, or too old.
    #[error("{path} is not a usable ONNX Runtime: {reason}")]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What is wrong, with what would be right.
        reason: String,
    },
}

/// The library that was loaded, if one was.
#[must_use]
pub fn loaded() -> Option<&'static Runtime> {
    RUNTIME.get()
}

/// Loads the library, once for the life of the process: after a success every call answers the first library, whatever
/// its arguments. A failure leaves nothing behind, so another file may be tried.
///
/// All sessions share one pool of `threads`, so that a hundred models do not mean a hundred pools.
///
/// # Errors
/// [`LoadError`] for a file that is missing, truncated, not ONNX Runtime, or older than 1.24.
pub fn load(path: &Path, threads: NonZeroUsize) -> Result<&'static Runtime, LoadError> {
    let _once = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let path = complete_library(path)?;
    let unusable = |reason: String| LoadError::Unusable { path: path.clone(), reason };
    // The text of the dynamic loader is the last cause.
    let builder = ort::init_from(&path).map_err(|error| unusable(chain(&error)))?;
    // What goes wrong is answered as an error, which the caller says in its own words; the library would print it as well.
    let silent: LoggerFunction = Arc::new(|_, _, _, _, _| {});
    // Threads that spin while they wait cost 1.7 times the CPU time on a busy machine and gain 2 % on a quiet one.
    let environment = GlobalThreadPoolOptions::default()
        .with_intra_threads(threads.get())
        .and_then(|pool| pool.with_spin_control(false))
        .and_then(|pool| builder.with_telemetry(false).with_logger(silent).with_global_thread_pool(pool).build())
        .and_then(|environment| arena::share(&environment).map(|()| environment))
        .map_err(|error| unusable(error.to_string()))?;
    let runtime = Runtime { version: version(&path), path: path.clone(), environment, threads };
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// The full name of a library that is not cut off. Relative names would be looked for beside the executable.
fn complete_library(path: &Path) -> Result<PathBuf, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let path = path.canonicalize().map_err(read)?;
    let found = path.metadata().map_err(read)?.len();
    match library::needed_length(&path).map_err(read)? {
        Some(needed) if found < needed => Err(LoadError::Truncated { path, found, needed }),
        _ => Ok(path),
    }
}

/// The library tells its version only while it is being loaded; afterwards the file name does, or the build's text.
fn version(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.split_once(".so.") {
        Some((_, version)) if version.contains('.') => version.to_owned(),
        _ => ort::info().to_owned(),
    }
}

/// A model in ONNX Runtime.
pub(super) struct OrtEngine {
    session: Session,
    outputs: Vec<String>,
    /// How many images the file takes at a time, where it says so.
    fixed_batch: Option<usize>,
    /// The next run ends with its arena as small as it can be.
    releasing: bool,
}

/// How a session is opened.
#[derive(Clone, Copy)]
struct SessionSpec<'a> {
    file: &'a [u8],
    threads: NonZeroUsize,
    optimization: GraphOptimizationLevel,
    /// Weights that are used in the place of those in the file.
    weights: &'a [(String, Arc<DynValue>)],
    packing: Packing,
    provider: Provider,
}

/// Whether kernels make copies of weights in an order of their own. They take the place of a session's weights, and stand beside
/// those that sessions share.
#[derive(Clone, Copy)]
enum Packing {
    On,
    Off,
}

impl<'a> SessionSpec<'a> {
    /// ONNX Runtime optimizes the file, computes with its own kernels and has weights of its own.
    fn plain(file: &'a [u8], threads: NonZeroUsize) -> Self {
        let (optimization, packing, provider) = (GraphOptimizationLevel::All, Packing::On, Provider::Cpu);
        Self { file, threads, optimization, weights: &[], packing, provider }
    }
}

impl OrtEngine {
    pub(super) fn open(file: &[u8], threads: NonZeroUsize) -> Result<Self, EngineError> {
        Self::of(SessionSpec::plain(file, threads))
    }

    /// An engine in which a provider computes everything.
    pub(super) fn open_in(provider: Provider, file: &[u8], threads: NonZeroUsize) -> Result<Self, EngineError> {
        Self::of(SessionSpec { provider, ..SessionSpec::plain(file, threads) })
    }

    /// An engine with all threads for an image that is alone, and one with a single thread for each of them. They have the
    /// same weights in memory. Where that cannot be, as without a folder for temporary files, there is the first alone.
    pub(super) fn open_set(file: &[u8], threads: NonZeroUsize) -> Result<EngineSet, EngineError> {
        Self::open_sharing(file, threads).or_else(|obstacle| {
            let wide = Box::new(Self::open(file, threads)?);
            Ok(EngineSet { obstacle: Some(obstacle.to_string()), ..EngineSet::single(wide) })
        })
    }

    fn open_sharing(file: &[u8], threads: NonZeroUsize) -> Result<EngineSet, EngineError> {
        let model = OptimizedModel::new(file)?;
        let narrow = || Ok(Box::new(model.open(NonZeroUsize::MIN)?) as Box<dyn Engine>);
        let narrow = (0..threads.get()).map(|_| narrow()).collect::<Result<Vec<_>, EngineError>>()?;
        Ok(EngineSet { wide: Box::new(model.open(threads)?), narrow, obstacle: None })
    }

    fn of(spec: SessionSpec<'_>) -> Result<Self, EngineError> {
        let SessionSpec { file, threads, optimization, weights, packing, provider } = spec;
        let runtime = loaded().ok_or(EngineError::NotLoaded)?;
        let mut builder = session_builder(runtime, optimization).map_err(refused)?;
        // A provider computes with threads of its own, or with those of a graphics processor.
        let has_threads = provider != Provider::Cpu || threads == runtime.threads;
        builder = plugin::choose(builder, runtime, provider, threads)?;
        if !has_threads {
            builder = builder
                .with_independent_thread_pool()
                .and_then(|builder| builder.with_intra_threads(threads.get()))
                .and_then(|builder| builder.with_intra_op_spinning(false))
                .map_err(refused)?;
        }
        for (name, weight) in weights {
            builder = builder.with_initializer(name, weight.clone()).map_err(refused)?;
        }
        builder = match packing {
            Packing::On => builder,
            Packing::Off => builder.with_prepacking(false).map_err(refused)?,
        };
        let session = builder.commit_from_memory(file).map_err(refused)?;
        let fixed_batch = match session.inputs().first().map(Outlet::dtype) {
            Some(ValueType::Tensor { shape, .. }) => shape.first().and_then(|&dim| usize::try_from(dim).ok()),
            _ => None,
        };
        // Outputs of other numbers are nobody's logits.
        let real = |outlet: &&Outlet| outlet.dtype().tensor_type() == Some(TensorElementType::Float32);
        let outputs = session.outputs().iter().filter(real).map(|output| output.name().to_owned()).collect();
        Ok(Self { session, outputs, fixed_batch: fixed_batch.filter(|&images| images > 0), releasing: false })
    }

    /// As many images as the file takes.
    fn run_once(&mut self, shape: [usize; 4], data: &[f32]) -> Result<Vec<Tensor>, EngineError> {
        let input = TensorRef::from_array_view((shape, data)).map_err(EngineError::run)?;
        let release = std::mem::take(&mut self.releasing).then(release_options);
        let release = release.transpose().map_err(EngineError::run)?;
        let values = match &release {
            Some(options) => self.session.run_with_options(ort::inputs![input], options),
            None => self.session.run(ort::inputs![input]),
        };
        let values = values.map_err(EngineError::run)?;
        let outputs = self.outputs.iter().map(|name| {
            let (shape, data) = values[name.as_str()].try_extract_tensor::<f32>().map_err(EngineError::run)?;
            let shape: Vec<usize> = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or_default()).collect();
            Ok(Tensor::new(shape, data.to_vec()))
        });
        outputs.collect()
    }

    /// Images in portions of the size that the file fixes, the last filled up with zeros whose answers are dropped.
    fn run_portions(&mut self, batch: &ImageBatch, images: usize) -> Result<Vec<Tensor>, EngineError> {
        let [n, c, h, w] = batch.shape();
        let mut rows: Vec<(Vec<usize>, Vec<f32>)> = vec![(vec![], vec![]); self.outputs.len()];
        for portion in batch.data().chunks(images * c * h * w) {
            let mut filled = portion.to_vec();
            filled.resize(images * c * h * w, 0.0);
            for (row, output) in rows.iter_mut().zip(self.run_once([images, c, h, w], &filled)?) {
                row.0 = output.shape().to_vec();
                row.1.extend_from_slice(output.data());
            }
        }
        let outputs = rows.into_iter().map(|(shape, mut data)| {
            let Some((_, row)) = shape.split_first().filter(|(first, _)| **first == images) else {
                return Err(EngineError::run(format!("an output of shape {shape:?} for {images} image(s)")));
            };
            let row: Vec<usize> = row.to_vec();
            data.truncate(n * row.iter().product::<usize>());
            Ok(Tensor::new([vec![n], row].concat(), data))
        });
        outputs.collect()
    }
}

/// Sessions whose working memory is the environment's, and whose weights go back to the system with them.
fn session_builder(runtime: &Runtime, optimization: GraphOptimizationLevel) -> ort::Result<SessionBuilder> {
    // A plan of a run's memory is one piece, for which the arena grows though it has enough in smaller ones: ResNet-50 took 23 MB
    // for two runs at once with plans and 15 without, in the same time (docs/adr/0020-memory-given-back.md).
    let builder =
        Session::builder(&runtime.environment)?.with_optimization_level(optimization)?.with_memory_pattern(false)?;
    let builder = builder.with_env_allocators()?.with_device_allocated_initializers()?;
    // Kernels that saturate cost 4 to 5 points of accuracy (docs/adr/0029-variants-of-a-version.md). ONNX Runtime takes exact ones,
    // which are slower, only if told to, and only for weights that need them.
    if products_saturate() { Ok(builder.with_config_entry("session.x64quantprecision", "1")?) } else { Ok(builder) }
}

fn refused(reason: impl fmt::Display) -> EngineError {
    EngineError::open(EngineKind::Ort, reason)
}

/// A run that gives back every region of the arena that holds nothing when it ends.
fn release_options() -> ort::Result<RunOptions<NoSelectedOutputs>> {
    let mut options = RunOptions::new()?;
    options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
    Ok(options)
}

impl Engine for OrtEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Ort
    }

    fn run(&mut self, batch: &ImageBatch) -> Result<Outputs, EngineError> {
        let tensors = match self.fixed_batch {
            Some(images) if images != batch.len() => self.run_portions(batch, images)?,
            _ => self.run_once(batch.shape(), batch.data())?,
        };
        Ok(Outputs(self.outputs.iter().cloned().zip(tensors).collect()))
    }

    fn release_memory(&mut self) {
        self.releasing = true;
    }
}
