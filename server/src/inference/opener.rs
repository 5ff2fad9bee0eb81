//! What opens the engines of a model.

use std::sync::Arc;

use onnx::{EngineError, EngineSet};

/// Opens engines on the bytes of an ONNX file.
pub(crate) type Opener = Arc<dyn Fn(&[u8]) -> Result<EngineSet, EngineError> + Send + Sync>;
