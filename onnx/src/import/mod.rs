//! From an ONNX file to a graph.

mod error;
mod input;
#[cfg(test)]
mod tests;
mod walk;

use bytes::Bytes;
use models::{Graph, ModelSpec, Params};

use crate::file::ModelFile;
use crate::metadata::{self, SpecRecord};
pub use crate::read::ReadError;
use crate::write::PixelNormalization;
pub use error::ImportError;
pub(crate) use input::{ImageInput, ImageLayout, image_input};

/// What an ONNX file holds.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// The network, ending in logits (a final softmax is left off) or in a backbone's features.
    pub graph: Graph,
    /// Its parameters under the file's names.
    pub params: Params,
    /// The spec, if graft wrote the file. A foreign file does not say how its input is prepared.
    pub spec: Option<ModelSpec>,
    /// Who wrote the file, such as `pytorch 2.4.0`.
    pub producer: String,
}

/// The oldest operator set whose arithmetic broadcasts as NumPy does.
const OLDEST_OPSET: i64 = 7;

/// Reads an ONNX file that holds its weights itself; see [`ModelFile::import`].
///
/// # Errors
/// As there.
pub fn import(file: impl Into<Bytes>) -> Result<ImportedModel, ImportError> {
    ModelFile::decode(file)?.import()
}

impl ModelFile {
    /// Reads the network for images of the size that the file says, or 224 by 224 pixels where it says none.
    ///
    /// # Errors
    /// As [`import_for`](Self::import_for).
    pub fn import(&self) -> Result<ImportedModel, ImportError> {
        self.import_for(None)
    }

    /// Reads the network by structure, for images of this height and width.
    ///
    /// The batch dimension is made dynamic whatever the file says, and the image comes channels first. Node names are the
    /// modules of the state dict where the weights have such names, otherwise the file's.
    ///
    /// # Errors
    /// [`ImportError`] naming the node and operator, the initialiser or the input that graft cannot read.
    pub fn import_for(&self, size: Option<[usize; 2]>) -> Result<ImportedModel, ImportError> {
        let recorded = metadata::read(self.props())?;
        let opset = self.opset();
        if opset < OLDEST_OPSET {
            return Err(ImportError::Opset(opset));
        }
        let file = self.graph()?;
        let input = image_input(file)?.sized(size)?;
        let (mut graph, params) = walk::read(file, input, opset)?;
        if let Some(SpecRecord { spec, normalization: PixelNormalization::Outside }) = &recorded {
            graph = graph.normalized(&spec.preprocess.normalize())?;
        }
        let params = params.select(&graph)?;
        Ok(ImportedModel { graph, params, spec: recorded.map(|recorded| recorded.spec), producer: self.producer() })
    }
}
