//! Where models look: class activation maps of served models, on demand.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use models::preprocess::{HeatMap, ImageBatch, ImageError, Limits};
use models::{Graph, Params, Preprocess};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use trainer::explain::{ActivationMap, ExplainError, Explainer};

use crate::store::{ModelContent, ModelName, ModelStore, StoreError};

/// Explanations that may wait for one another.
const WAITING: usize = 8;

/// Explains one image at a time, since each takes the whole processor. The network of the last model stays in memory, in
/// graft's own executor: engines give logits alone.
#[derive(Clone)]
pub struct Explanations {
    store: ModelStore,
    limits: Limits,
    /// One permit for each that may wait or be computed.
    waiting: Arc<Semaphore>,
    open: Arc<Mutex<Option<OpenModel>>>,
}

struct OpenModel {
    name: ModelName,
    version: u32,
    explainer: ModelExplainer,
}

/// A model that is ready to explain itself.
pub struct ModelExplainer {
    preprocess: Preprocess,
    explainer: Explainer,
}

/// An image and the class that is asked about.
pub struct Question {
    /// The image file.
    pub image: Bytes,
    /// The class's number.
    pub class: usize,
}

/// Where the model sees the class.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The class's number.
    pub class: usize,
    /// What each place adds to the class's logit.
    pub map: ActivationMap,
    /// The image as the network takes it, with the map over it: a PNG file.
    pub overlay: Vec<u8>,
}

/// Why there is no explanation.
#[derive(Debug, Error)]
pub enum ExplainFailure {
    /// As many wait already as may.
    #[error("{WAITING} explanations wait or are being computed")]
    Busy,
    /// Its operators are not all graft's.
    #[error("`{0}` runs as the file that was imported, and graft's own executor, which explains, cannot")]
    Opaque(ModelName),
    /// The network cannot be explained.
    #[error(transparent)]
    Network(#[from] ExplainError),
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The model cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work broke off.
    #[error("the explanation broke off")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl Explanations {
    /// Explains models of this store. Images beyond the limits are refused by their headers.
    #[must_use]
    pub fn new(store: ModelStore, limits: Limits) -> Self {
        Self { store, limits, waiting: Arc::new(Semaphore::new(WAITING)), open: Arc::default() }
    }

    /// Explains the answers of a version of a model, one image after the other.
    ///
    /// # Errors
    /// [`ExplainFailure`].
    pub async fn explain(
        &self,
        name: &ModelName,
        version: u32,
        questions: Vec<Question>,
    ) -> Result<Vec<Explanation>, ExplainFailure> {
        let permit = self.waiting.clone().try_acquire_owned().map_err(|_| ExplainFailure::Busy)?;
        let (open, store, limits, name) = (self.open.clone(), self.store.clone(), self.limits, name.clone());
        spawn_blocking(move || {
            let _permit = permit;
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            let model = match open.take() {
                Some(model) if model.name == name && model.version == version => model,
                // The last one goes before the next one comes, so that there are never two.
                _last => OpenModel::read(&store, name, version)?,
            };
            let model = open.insert(model);
            questions.iter().map(|question| model.explainer.answer(question, &limits)).collect()
        })
        .await?
    }
}

impl OpenModel {
    fn read(store: &ModelStore, name: ModelName, version: u32) -> Result<Self, ExplainFailure> {
        let ModelContent::Native(network) = store.content(&name, version)? else {
            return Err(ExplainFailure::Opaque(name));
        };
        let explainer = ModelExplainer::new(&network.graph, &network.params, network.spec.preprocess)?;
        Ok(Self { name, version, explainer })
    }
}

impl ModelExplainer {
    /// Of a network and how images are prepared for it.
    ///
    /// # Errors
    /// [`ExplainError`].
    pub fn new(graph: &Graph, params: &Params, preprocess: Preprocess) -> Result<Self, ExplainError> {
        Ok(Self { preprocess, explainer: Explainer::new(graph, params)? })
    }

    /// Where the model sees the class in the image.
    ///
    /// # Errors
    /// [`ExplainFailure::Image`], [`ExplainFailure::Network`].
    pub fn answer(&mut self, question: &Question, limits: &Limits) -> Result<Explanation, ExplainFailure> {
        let image = self.preprocess.fit(&self.preprocess.decode(&question.image, limits)?, limits)?;
        let input = ImageBatch::from(self.preprocess.prepared(&image).map_err(ImageError::from)?);
        let map = self.explainer.explain(&input, question.class)?;
        let overlay = HeatMap { size: map.size, values: &map.values }.over(&image);
        Ok(Explanation { class: question.class, map, overlay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::testing::{GREEN, RED, bmp, colors, golden, publish};

    fn question(image: Vec<u8>, class: usize) -> Question {
        Question { image: image.into(), class }
    }

    #[tokio::test]
    async fn the_network_of_another_version_takes_the_place_of_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::open(folder.path()).unwrap();
        let network = colors();
        let versions = [(); 2].map(|()| publish(&store, "colors", &network, &golden(&network)));
        let explanations = Explanations::new(store, Limits::default());
        let name = "colors".parse().unwrap();
        for version in [versions[0], versions[1], versions[1]] {
            let asked = vec![question(bmp(RED), 0), question(bmp(GREEN), 0)];
            let answers = explanations.explain(&name, version, asked).await.unwrap();
            // Red is high in the one and low in the other.
            assert!(answers[0].map.values[0] > 5.0 * answers[1].map.values[0], "{answers:?}");
            let open = explanations.open.lock().unwrap();
            assert_eq!(open.as_ref().map(|model| model.version), Some(version));
        }
        let unreadable = explanations.explain(&name, versions[0], vec![question(b"oops".to_vec(), 0)]).await;
        assert!(matches!(unreadable, Err(ExplainFailure::Image(ImageError::NotAnImage))), "{unreadable:?}");
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_to_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::open(folder.path()).unwrap();
        let none = Arc::new(Semaphore::new(0));
        let explanations = Explanations { waiting: none, ..Explanations::new(store, Limits::default()) };
        let refused = explanations.explain(&"colors".parse().unwrap(), 1, vec![]).await;
        assert!(matches!(refused, Err(ExplainFailure::Busy)), "{refused:?}");
    }
}
