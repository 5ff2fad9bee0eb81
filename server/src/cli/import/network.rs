//! A network whose preparation is still to be decided.

use anyhow::{Result, bail};
use models::channels::{self, ChannelOrder};
use models::preprocess::Preset;
use models::{Graph, Labels, ModelSpec, Network, Params, Preprocess, zoo};
use onnx::ImportedModel;
use onnx::conventions::Conventions;

use super::Preparation;

/// A network from its normalised image to its logits, and what its file says about the rest.
#[derive(Debug, Clone)]
pub(in crate::cli) struct NetworkDraft {
    pub(in crate::cli) graph: Graph,
    pub(in crate::cli) params: Params,
    /// What kind of network it is.
    pub(in crate::cli) architecture: String,
    pub(in crate::cli) labels: Option<Labels>,
    /// How its images are prepared, if its file or its origin says so.
    pub(in crate::cli) known: Option<PreparationSource>,
}

/// How images are prepared, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum PreparationSource {
    /// Everything, by graft's own metadata; the network normalises its pixels already.
    Spec(Box<ModelSpec>),
    /// Everything, by the weights that these are.
    Parameters { preprocess: Box<Preprocess>, origin: String },
    /// Which of the common ways it is, and the order of the colours where that is said apart from it.
    Preset { preset: Preset, order: Option<ChannelOrder>, origin: String },
}

impl NetworkDraft {
    /// From the file of weights of a stored model.
    pub(in crate::cli) fn of_network(network: Network) -> Self {
        let Network { graph, params, spec } = network;
        let (architecture, labels) = (spec.architecture.clone(), spec.labels.clone());
        Self { graph, params, architecture, labels, known: Some(PreparationSource::Spec(Box::new(spec))) }
    }

    /// From an ONNX file.
    pub(in crate::cli) fn of_onnx(imported: ImportedModel, conventions: &Conventions) -> Self {
        let ImportedModel { graph, params, spec, producer } = imported;
        if let Some(spec) = spec {
            return Self::of_network(Network { graph, params, spec });
        }
        let recognised = zoo::recognise(&graph).first().map(|row| row.name().to_owned());
        let unnamed = || Some(producer).filter(|name| !name.is_empty()).unwrap_or("unnamed network".to_owned());
        let known = conventions.preset.map(|preset| PreparationSource::Preset {
            preset,
            order: conventions.channel_order,
            origin: format!("by the file's metadata ({})", conventions.keys.join(", ")),
        });
        let architecture = recognised.unwrap_or_else(unnamed);
        Self { graph, params, architecture, labels: conventions.labels.clone(), known }
    }

    /// With these class names if any are given, otherwise with the file's own, or numbers.
    pub(in crate::cli) fn labelled(mut self, given: Option<Labels>) -> Result<Self> {
        let classes = self.graph.shape(self.graph.output()).len();
        let headless = self.graph.classifier().is_none();
        if headless {
            if given.is_some() {
                bail!("the network has no classifier, so there is nothing to label; leave out --labels");
            }
            self.labels = None;
            return Ok(self);
        }
        // Names in foreign metadata may be of something else; given ones are meant.
        let fits = |labels: &Labels| labels.len() == classes;
        let own =
            self.labels.take().filter(|labels| fits(labels) || matches!(self.known, Some(PreparationSource::Spec(_))));
        let labels = given.or(own).unwrap_or_else(|| numbered(classes));
        if !fits(&labels) {
            bail!("there are {} labels, but the network has {classes} classes", labels.len());
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// Height and width of its images.
    pub(in crate::cli) fn input(&self) -> Result<[u32; 2]> {
        let (channels, height, width) = self.graph.chw(self.graph.input())?;
        if channels != 3 {
            bail!("the network takes images of {channels} channel(s); graft serves networks for RGB images");
        }
        Ok([u32::try_from(height)?, u32::try_from(width)?])
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
        let (labels, architecture) = (self.labels.clone(), self.architecture.clone());
        if let Some(PreparationSource::Spec(spec)) = &self.known {
            let spec = ModelSpec { labels, ..(**spec).clone() };
            return Ok(Network::new(self.graph.clone(), &self.params, spec)?);
        }
        let (graph, params) = match order {
            ChannelOrder::Rgb => (self.graph.clone(), self.params.clone()),
            ChannelOrder::Bgr => channels::reversed(&self.graph, &self.params)?,
        };
        let graph = graph.normalized(&preprocess.normalize())?;
        let spec = ModelSpec { architecture, labels, preprocess: preprocess.clone(), training: None };
        Ok(Network::new(graph, &params, spec)?)
    }
}

/// `class 0`, `class 1`, …
pub(super) fn numbered(classes: usize) -> Labels {
    Labels::new((0..classes).map(|class| format!("class {class}")).collect())
}
