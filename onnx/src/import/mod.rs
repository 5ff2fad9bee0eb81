//! From an ONNX file to a graph.

#[cfg(test)]
mod tests;
mod walk;

use bytes::Bytes;
use models::scores::ScoreKind;
use models::spec::ScoreSpec;
use models::{Graph, ModelSpec, Params, binary};

use crate::error::ImportError;
use crate::file::ModelFile;
use crate::image::image_input;
use crate::metadata::{self, SpecRecord};
pub use crate::read::ReadError;
use crate::signature::{Meaning, OutputEvidence, Signature, SignatureOptions};
use crate::write::PixelNormalization;

/// The network of an ONNX file.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// Ends in logits (import drops a final softmax or sigmoid) or in a backbone's features. One logit for two classes is
    /// given a second one of zero before it.
    pub graph: Graph,
    /// The graph's parameters, under the file's names.
    pub params: Params,
    /// The spec, if graft wrote the file. Files of other programs do not say how to prepare their input.
    pub spec: Option<ModelSpec>,
    /// What the logits are, and what says so; `None` for features.
    pub scores: Option<ScoreSpec>,
    /// The program that wrote the file, such as `pytorch 2.4.0`; empty if the file does not say.
    pub producer: String,
}

/// The oldest operator set whose arithmetic broadcasts as NumPy does.
const OLDEST_OPSET: i64 = 7;

/// Reads an ONNX file that contains its weights; see [`ModelFile::import`].
///
/// # Errors
/// [`ImportError`]; weights in a second file are [`FileError::External`](crate::FileError::External).
pub fn import(file: impl Into<Bytes>) -> Result<ImportedModel, ImportError> {
    ModelFile::decode(file)?.import()
}

impl ModelFile {
    /// Reads the network for images of the size that the file declares, or of 224x224 pixels if it declares none.
    ///
    /// # Errors
    /// Those of [`import_for`](Self::import_for), except [`ImportError::Size`].
    pub fn import(&self) -> Result<ImportedModel, ImportError> {
        self.import_for(None)
    }

    /// Reads the network by structure, for images of this `[height, width]`.
    ///
    /// The batch becomes dynamic and the channels come first, whatever the file declares. A node is named after its module of
    /// the state dict if its weights have such names, otherwise as in the file.
    ///
    /// # Errors
    /// [`ImportError`] names the node and operator, the initializer or the input that graft cannot read.
    pub fn import_for(&self, size: Option<[usize; 2]>) -> Result<ImportedModel, ImportError> {
        self.import_as(&self.signature(&SignatureOptions::default())?, size)
    }

    /// As [`import_for`](Self::import_for), from the output that a signature has chosen.
    ///
    /// # Errors
    /// Those of [`import_for`](Self::import_for).
    pub fn import_as(&self, signature: &Signature, size: Option<[usize; 2]>) -> Result<ImportedModel, ImportError> {
        let record = metadata::read(self.props())?;
        let opset = self.opset();
        if opset < OLDEST_OPSET {
            return Err(ImportError::Opset(opset));
        }
        let file = self.scored(signature)?;
        let input = image_input(file.graph()?)?.sized(size)?;
        let (mut graph, mut params) = walk::read(file.graph()?, input, opset)?;
        if let Some(SpecRecord { spec, normalization: PixelNormalization::Outside }) = &record {
            graph = graph.normalized(&spec.preprocess.normalize())?;
        }
        let scores = scores(signature.output(), &graph)?;
        if scores.is_some()
            && record.is_none()
            && let Some(two) = binary::with_two_logits(&graph, &params)?
        {
            (graph, params) = two;
        }
        let params = params.select(&graph)?;
        let spec = record.map(|record| record.spec);
        Ok(ImportedModel { graph, params, spec, scores, producer: self.producer() })
    }
}

/// What the numbers at the end of this graph are, now that it is known how many there are.
fn scores(output: &OutputEvidence, graph: &Graph) -> Result<Option<ScoreSpec>, ImportError> {
    let shape = graph.shape(graph.output());
    let output = output.measured(shape.len())?;
    // Without a classifier the numbers are a backbone's, unless the file or the caller says otherwise.
    let features = output.meaning == Meaning::Logits && graph.classifier().is_none() && !output.asked;
    Ok(output.kind().filter(|_| !features && shape.dims().len() == 1).map(|kind: ScoreKind| output.spec(kind)))
}
