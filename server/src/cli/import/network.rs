//! A network whose preparation is still to be decided.

use anyhow::{Result, bail};
use models::channels::{self, ChannelOrder};
use models::spec::ScoreSpec;
use models::{Graph, Labels, ModelSpec, Network, Params, zoo};
use onnx::ImportedModel;

use super::facts::FileFacts;
use super::labels::{self, NamedLabels};
use super::origin::PreparationSource;
use super::preparation::{Preparation, PreparationArgs};

/// A network from its normalised image to its logits, and what its file says about the rest.
#[derive(Debug, Clone)]
pub(in crate::cli) struct NetworkDraft {
    pub(in crate::cli) graph: Graph,
    pub(in crate::cli) params: Params,
    /// What kind of network it is.
    pub(in crate::cli) architecture: String,
    pub(in crate::cli) labels: Option<NamedLabels>,
    /// What its last numbers are; `None` for features.
    pub(in crate::cli) scores: Option<ScoreSpec>,
    /// How its images are prepared, if its file or its origin says so.
    pub(in crate::cli) known: Option<PreparationSource>,
}

impl NetworkDraft {
    /// From the file of weights of a stored model.
    pub(in crate::cli) fn of_network(network: Network) -> Self {
        let Network { graph, params, spec } = network;
        let architecture = spec.architecture.clone();
        let labels = spec.labels.clone().map(|labels| NamedLabels::new(labels, "the file"));
        let scores = (labels.is_some() || graph.classifier().is_some()).then(|| spec.scores.clone());
        Self { graph, params, architecture, labels, scores, known: Some(PreparationSource::Spec(Box::new(spec))) }
    }

    /// From an ONNX file.
    ///
    /// # Errors
    /// Where its input is no image.
    pub(in crate::cli) fn of_onnx(imported: ImportedModel, facts: &FileFacts) -> Result<Self> {
        let ImportedModel { graph, params, spec, scores, producer } = imported;
        if let Some(spec) = spec {
            return Ok(Self::of_network(Network { graph, params, spec }));
        }
        let recognized = zoo::recognize(&graph).first().map(|row| row.name().to_owned());
        let unnamed = || Some(producer).filter(|name| !name.is_empty()).unwrap_or("unnamed network".to_owned());
        let architecture = recognized.unwrap_or_else(unnamed);
        let (graph, params) = channels::from_gray(&graph, &params)?;
        Ok(Self { graph, params, architecture, labels: facts.labels.clone(), scores, known: facts.known.clone() })
    }

    /// With these class names if any are given, otherwise with the file's own, or numbers.
    pub(in crate::cli) fn labeled(mut self, user_labels: Option<NamedLabels>) -> Result<Self> {
        if self.scores.is_none() {
            if user_labels.is_some() {
                bail!(
                    "the network has no classifier, so there is nothing to label; leave out --labels, or, if its output is \
                     scores all the same, say what kind with --activation"
                );
            }
            self.labels = None;
            return Ok(self);
        }
        let classes = self.graph.shape(self.graph.output()).len();
        let labels = labels::resolve(user_labels, self.labels.take(), classes)?;
        self.labels = Some(NamedLabels::new(labels, "the command"));
        Ok(self)
    }

    /// Height and width of its images.
    pub(in crate::cli) fn input(&self) -> Result<[u32; 2]> {
        let (_, height, width) = self.graph.chw(self.graph.input())?;
        Ok([u32::try_from(height)?, u32::try_from(width)?])
    }

    /// How its images are prepared: as asked, or as is known of it, or as torchvision does.
    pub(in crate::cli::import) fn preparation(&self, asked: &PreparationArgs) -> Result<Preparation> {
        asked.choose(self.known.as_ref(), self.input()?)
    }

    /// What is known of how its images are prepared, nothing changed.
    pub(in crate::cli) fn known_preparation(&self) -> Result<Preparation> {
        self.preparation(&PreparationArgs::default())
    }

    /// The network that takes pixels, with its images prepared like this.
    pub(in crate::cli) fn network(&self, preparation: &Preparation) -> Result<Network> {
        let Preparation { preprocess, order, .. } = preparation;
        let [height, width] = self.input()?;
        if preprocess.output_size() != Some((height, width)) {
            let size = preprocess.output_size().map_or("any size".to_owned(), |(h, w)| format!("{h}x{w}"));
            bail!(
                "images would be prepared to {size}, but the network takes {height}x{width}; see --crop and --resize"
            );
        }
        preprocess.validate()?;
        let labels: Option<Labels> = self.labels.clone().map(|entry| entry.labels);
        if let Some(PreparationSource::Spec(spec)) = &self.known {
            let spec = ModelSpec { labels, ..(**spec).clone() };
            return Ok(Network::new(self.graph.clone(), &self.params, spec)?);
        }
        let (graph, params) = match order {
            ChannelOrder::Rgb => (self.graph.clone(), self.params.clone()),
            ChannelOrder::Bgr => channels::reversed(&self.graph, &self.params)?,
        };
        let graph = graph.normalized(&preprocess.normalize())?;
        let scores = self.scores.clone().unwrap_or_default();
        let spec = ModelSpec { scores, ..ModelSpec::new(self.architecture.clone(), labels, preprocess.clone()) };
        Ok(Network::new(graph, &params, spec)?)
    }
}
