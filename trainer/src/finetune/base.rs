//! The base: a network, or an opaque ONNX file.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use models::graph::GraphBuilder;
use models::ops::Shape;
use models::preprocess::ImageBatch;
use models::{ModelSpec, Network, Params};
use onnx::{
    EngineError, EngineKind, EngineSpec, ExportError, ExportOptions, FeatureExtractor, FeatureExtractorError,
    ModelFile, Provider, engine,
};
use sha2::{Digest, Sha256};

use super::{FinetuneError, FinetuneStrategy};
use crate::identity::{Identity, IdentityError};

/// The model that a new head is grafted upon.
#[derive(Debug, Clone)]
pub enum Base {
    /// A network, any layer of which can be trained.
    Network(Box<Network>),
    /// An opaque ONNX file: graft cannot parse it, and replaces only its classifier.
    File(Box<FileBase>),
}

/// An opaque ONNX file, cut before its classifier.
#[derive(Debug, Clone)]
pub struct FileBase {
    extractor: FeatureExtractor,
    /// A network that takes the file's features; the new head goes into it.
    pub(super) behind: Network,
    sha256: String,
}

/// A model as it is stored and fine-tuned.
#[derive(Debug, Clone)]
pub enum ModelContent {
    /// A network with its spec: every layer can be trained, and it can be exported in other forms.
    Native(Box<Network>),
    /// An opaque ONNX file with its spec in the metadata: it can be served and given a new head.
    Opaque(Vec<u8>),
}

impl ModelContent {
    /// The ONNX file that serves, in `f32`.
    ///
    /// # Errors
    /// [`ExportError`] for a network that cannot be written.
    pub fn onnx(&self) -> Result<Cow<'_, [u8]>, ExportError> {
        Ok(match self {
            Self::Native(network) => Cow::Owned(onnx::export(network, &ExportOptions::default())?),
            Self::Opaque(file) => Cow::Borrowed(file),
        })
    }

    /// What graft knows of the network.
    ///
    /// # Errors
    /// [`EngineError::Run`] for a file without the metadata of graft.
    pub fn spec(&self) -> Result<ModelSpec, EngineError> {
        match self {
            Self::Native(network) => Ok(network.spec.clone()),
            Self::Opaque(onnx) => {
                let spec = onnx::metadata::spec(onnx).map_err(|error| EngineError::Run(error.to_string()))?;
                spec.ok_or_else(|| EngineError::Run("the file was not written by graft".to_owned()))
            }
        }
    }
}

impl Base {
    /// The base that is this stored model.
    ///
    /// # Errors
    /// As [`Base::file`], and [`FinetuneError::Engine`] for a file without the metadata of graft.
    pub fn new(content: ModelContent, engine: EngineKind, threads: NonZeroUsize) -> Result<Self, FinetuneError> {
        let spec = content.spec()?;
        match content {
            ModelContent::Native(network) => Ok(Self::Network(network)),
            ModelContent::Opaque(onnx) => Self::file(onnx, spec, engine, threads),
        }
    }

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
        let [_, shape @ ..] = outputs.first()?.shape() else {
            return Err(EngineError::Run("its features are a single number".to_owned()).into());
        };
        let shape = shape.to_vec();
        let graph = GraphBuilder::new("features", Shape::new(shape));
        let input = graph.input();
        let behind = Network::new(graph.finish(input), &Params::default(), spec)?;
        Ok(Self::File(Box::new(FileBase { extractor, behind, sha256 })))
    }

    /// The network that gets the new head: the whole base, or, of an opaque file, a network that takes its features.
    #[must_use]
    pub fn network(&self) -> &Network {
        match self {
            Base::Network(network) => network,
            Base::File(file) => &file.behind,
        }
    }

    /// The ONNX file, from pixels on, of a network made from [`Base::network`].
    pub(super) fn export(&self, network: &Network) -> Result<Vec<u8>, FinetuneError> {
        Ok(match self {
            Base::Network(_) => onnx::export(network, &ExportOptions::default())?,
            Base::File(file) => file.extractor.with_head(network)?,
        })
    }

    /// Names the features that an engine computes with this file, which begins with the base's pixels and ends in its
    /// features. All engines agree on a network that graft can run itself; on an opaque file they may differ. A provider
    /// rounds in its own way, so it has features of its own.
    pub(super) fn features_identity(&self, prefix: &[u8], engine: EngineSpec) -> Result<String, IdentityError> {
        let EngineSpec { kind, provider, .. } = engine;
        let engine = match (self, provider) {
            (Base::Network(_), Provider::Cpu) => None,
            (Base::File(_), Provider::Cpu) => Some(kind.to_string()),
            (_, provider) => Some(format!("{kind}/{provider}")),
        };
        let network = hex::encode(Sha256::digest(prefix));
        Identity::new("graft.features", 1).with("network", network).with("engine", engine).sha256()
    }

    /// The new model, given a network made from [`Base::network`] and its ONNX file.
    pub(super) fn content(&self, network: Network, file: Vec<u8>) -> ModelContent {
        match self {
            Base::Network(_) => ModelContent::Native(Box::new(network)),
            Base::File(_) => ModelContent::Opaque(file),
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

/// Checks that a strategy trains no layers of the base, which is required of an opaque base.
///
/// # Errors
/// [`FinetuneError::Strategy`], which names the strategy that works.
pub fn head_alone(base: &str, strategy: FinetuneStrategy) -> Result<(), FinetuneError> {
    match strategy {
        FinetuneStrategy::Head | FinetuneStrategy::Auto => Ok(()),
        FinetuneStrategy::LastStage | FinetuneStrategy::Staged | FinetuneStrategy::Full => {
            Err(FinetuneError::Strategy { base: base.to_owned(), strategy: strategy.name() })
        }
    }
}

#[cfg(test)]
mod tests {
    use models::graph::GraphBuilder;
    use models::preprocess::Preprocess;

    use super::*;

    #[test]
    fn a_provider_has_features_of_its_own_and_the_own_kernels_keep_those_of_before() {
        let graph = GraphBuilder::new("none", Shape::new([3, 8, 8]));
        let input = graph.input();
        let spec = ModelSpec::new("none".to_owned(), None, Preprocess::torchvision(8, 8));
        let base = Base::Network(Box::new(Network::new(graph.finish(input), &Params::default(), spec).unwrap()));
        let plain = EngineSpec::plain(EngineKind::Ort, NonZeroUsize::MIN);
        let of = |provider| base.features_identity(b"prefix", EngineSpec { provider, ..plain }).unwrap();
        let engine: Option<String> = None;
        let network = hex::encode(Sha256::digest(b"prefix"));
        let before = Identity::new("graft.features", 1).with("network", network).with("engine", engine);
        assert_eq!(of(Provider::Cpu), before.sha256().unwrap());
        let mut all: Vec<String> = [Provider::Cpu].into_iter().chain(Provider::PLUGINS).map(of).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
    }
}
