//! What a head is grafted upon.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use models::graph::GraphBuilder;
use models::ops::Shape;
use models::preprocess::ImageBatch;
use models::{ModelSpec, Network, Params};
use onnx::{EngineError, EngineKind, ExportOptions, FeatureExtractor, FeatureExtractorError, ModelFile, engine};
use sha2::{Digest, Sha256};

use super::{FinetuneError, FinetuneStrategy};

/// What a head is grafted upon.
#[derive(Debug, Clone)]
pub enum Base {
    /// A network, any layer of which can be trained.
    Network(Box<Network>),
    /// A file that graft cannot take apart, whose classifier alone can be replaced.
    File(Box<FileBase>),
}

/// A file that is kept as it is, cut off before its classifier.
#[derive(Debug, Clone)]
pub struct FileBase {
    extractor: FeatureExtractor,
    /// From the file's features on, with nothing in it yet.
    behind: Network,
    sha256: String,
}

/// A new model.
#[derive(Debug, Clone)]
pub enum Content {
    /// A network with its new head and spec.
    Network(Box<Network>),
    /// An ONNX file with the same, of which graft knows the head alone.
    File(Vec<u8>),
}

impl Base {
    /// The base that is this file, which [`ModelFile::wrap_opaque`] has wrapped with this spec. An engine runs it once, on noise,
    /// to learn what its features are.
    ///
    /// # Errors
    /// [`FinetuneError::FeatureExtractor`] for a file without a classifier to replace, [`FinetuneError::Engine`] for one that the
    /// engine does not run.
    pub fn file(
        onnx: Vec<u8>,
        spec: ModelSpec,
        engine: EngineKind,
        threads: NonZeroUsize,
    ) -> Result<Self, FinetuneError> {
        let sha256 = hex::encode(Sha256::digest(&onnx));
        let file = ModelFile::decode(onnx).map_err(FeatureExtractorError::from)?;
        let extractor = file.feature_extractor()?;
        let &[channels, height, width] = file.image_shape()?.dims() else {
            return Err(EngineError::Run("it takes no images".to_owned()).into());
        };
        let noise = ImageBatch::noise(1, [channels, height, width], 0);
        let outputs = engine::open(engine, &extractor.encode(), threads)?.run(&noise)?;
        let shape = outputs.first()?.shape().get(1..).unwrap_or_default().to_vec();
        let graph = GraphBuilder::new("features", Shape::new(shape));
        let input = graph.input();
        let behind = Network::new(graph.finish(input), &Params::default(), spec)?;
        Ok(Self::File(Box::new(FileBase { extractor, behind, sha256 })))
    }

    /// What the new head is put behind or into: the whole network, or nothing behind the features of a file.
    #[must_use]
    pub fn network(&self) -> &Network {
        match self {
            Base::Network(network) => network,
            Base::File(file) => &file.behind,
        }
    }

    /// The ONNX file of a network that was made from [`Base::network`], from pixels on.
    pub(super) fn export(&self, network: &Network) -> Result<Vec<u8>, FinetuneError> {
        Ok(match self {
            Base::Network(_) => onnx::export(network, &ExportOptions::default())?,
            Base::File(file) => file.extractor.with_head(network)?,
        })
    }

    /// What decides the features that an engine computes with this file. Engines agree on a network of real numbers, and
    /// need not on whole ones.
    pub(super) fn computation<'a>(&self, prefix: &'a [u8], engine: EngineKind) -> Cow<'a, [u8]> {
        match self {
            Base::Network(_) => prefix.into(),
            Base::File(_) => [prefix, engine.to_string().as_bytes()].concat().into(),
        }
    }

    /// What came of a network that was made from [`Base::network`].
    pub(super) fn content(&self, network: Network, file: Vec<u8>) -> Content {
        match self {
            Base::Network(_) => Content::Network(Box::new(network)),
            Base::File(_) => Content::File(file),
        }
    }

    /// SHA-256 of its weights, or of the file.
    pub(super) fn sha256(&self) -> String {
        match self {
            Base::Network(network) => network.params.checksum(),
            Base::File(file) => file.sha256.clone(),
        }
    }
}

/// Whether the strategy leaves the layers of this base alone, as it must if the base is a file.
///
/// # Errors
/// [`FinetuneError::Strategy`], which says what works.
pub fn head_alone(base: &str, strategy: FinetuneStrategy) -> Result<(), FinetuneError> {
    match strategy {
        FinetuneStrategy::Head | FinetuneStrategy::Auto => Ok(()),
        FinetuneStrategy::LastStage | FinetuneStrategy::Staged | FinetuneStrategy::Full => {
            Err(FinetuneError::Strategy { base: base.to_owned(), strategy: strategy.name() })
        }
    }
}
