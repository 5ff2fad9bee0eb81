//! Sessions of one model that share its weights.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor};
use prost::Message;

use super::{OrtEngine, Packing, SessionSpec, loaded, plugin, refused, session_builder};
use crate::engine::EngineError;
use crate::proto::{ModelProto, TensorProto, data_type};

/// Weights of fewer bytes are left in the file: to share them would save nothing.
const LEAST: usize = 4096;

/// A model as ONNX Runtime has optimized it for this processor, with weights that every session of it can use.
///
/// ONNX Runtime copies the weights of a model into every session, in a layout that it makes while it optimizes; nothing that
/// it offers shares that copy. Here one session optimizes and writes what it has made, and the others are opened on that
/// without optimization, with tensors of ours for its weights.
pub(super) struct OptimizedModel {
    file: Vec<u8>,
    weights: Vec<(String, Arc<DynValue>)>,
    /// On for 8-bit weights, whose kernels are fast in their own order alone, and whose copies ONNX Runtime cannot share. In f32 an
    /// image takes as long without (ResNet-50 0.99 times, the linear layers of VGG-16 0.87 times), and the copies would be three more
    /// of each linear layer.
    packing: Packing,
}

impl OptimizedModel {
    /// Optimizes a file, by way of a temporary one.
    ///
    /// # Errors
    /// [`EngineError::Open`] when ONNX Runtime refuses the file, or there is no room for another.
    pub(super) fn new(file: &[u8]) -> Result<Self, EngineError> {
        let runtime = loaded().ok_or(EngineError::NotLoaded)?;
        let folder = tempfile::tempdir().map_err(refused)?;
        let path = folder.path().join("optimized.onnx");
        let builder = session_builder(runtime, GraphOptimizationLevel::All).map_err(refused)?;
        let mut builder = plugin::keep_out(builder, runtime)?.with_optimized_model_path(&path).map_err(refused)?;
        drop(builder.commit_from_memory(file).map_err(refused)?);
        let file = std::fs::read(&path).map_err(refused)?;
        let model = ModelProto::decode(file.as_slice()).map_err(refused)?;
        let initializers = || model.graph.iter().flat_map(|graph| &graph.initializer);
        let mut weights = Vec::new();
        for initializer in initializers() {
            if let Some(tensor) = shared(initializer).map_err(refused)? {
                weights.push((initializer.name.clone(), Arc::new(tensor)));
            }
        }
        let packing = if initializers().any(is_quantized) { Packing::On } else { Packing::Off };
        Ok(Self { file, weights, packing })
    }

    /// A session with so many threads.
    ///
    /// # Errors
    /// [`EngineError::Open`].
    pub(super) fn open(&self, threads: NonZeroUsize) -> Result<OrtEngine, EngineError> {
        let (file, weights) = (self.file.as_slice(), self.weights.as_slice());
        let optimization = GraphOptimizationLevel::Disable;
        OrtEngine::of(SessionSpec { optimization, weights, packing: self.packing, ..SessionSpec::plain(file, threads) })
    }
}

fn is_quantized(initializer: &TensorProto) -> bool {
    initializer.raw_data.len() >= LEAST && [data_type::INT8, data_type::UINT8].contains(&initializer.data_type)
}

/// A tensor of ours, or nothing for one that is small or of a kind that weights seldom are.
fn shared(initializer: &TensorProto) -> ort::Result<Option<DynValue>> {
    let bytes = initializer.raw_data.as_ref();
    if bytes.len() < LEAST {
        return Ok(None);
    }
    let dims = &initializer.dims;
    Ok(match initializer.data_type {
        data_type::FLOAT => {
            Some(filled(dims, bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)))?)
        }
        data_type::INT8 => Some(filled(dims, bytes.iter().map(|&byte| byte as i8))?),
        data_type::UINT8 => Some(filled(dims, bytes.iter().copied())?),
        _ => None,
    })
}

/// ONNX Runtime shares a tensor only if the memory is ours.
fn filled<T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static>(
    dims: &[i64],
    numbers: impl Iterator<Item = T>,
) -> ort::Result<DynValue> {
    Ok(Tensor::from_array((dims.to_vec(), numbers.collect::<Vec<T>>()))?.into_dyn())
}
