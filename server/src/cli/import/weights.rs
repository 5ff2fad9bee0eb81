//! A network from a file of weights.

use std::cmp::Reverse;

use anyhow::{Context, Result, bail};
use models::graph::GraphError;
use models::preprocess::Preset;
use models::spec::ScoreSpec;
use models::weights::{self, FitError, FittedWeights, Likeness, Naming, StateDict};
use models::zoo::{self, Architecture, PublishedWeights};
use models::{Graph, Labels, Tensor};

use super::labels::NamedLabels;
use super::network::NetworkDraft;
use super::origin::PreparationSource;
use super::session::ImportSession;
use super::source::WeightsFile;

impl NetworkDraft {
    /// From weights, for the network of this name or the only one that they fit.
    pub(in crate::cli) fn of_weights(
        file: &WeightsFile,
        name: Option<&str>,
        size: Option<[usize; 2]>,
        session: &ImportSession<'_>,
    ) -> Result<Self> {
        let published = PublishedWeights::by_checksum(&file.sha256);
        let row = match (name, published) {
            (Some(name), _) => named(name)?,
            (None, Some(published)) => named(published.architecture)?,
            (None, None) => recognized(&file.state)?,
        };
        let (graph, FittedWeights { params, naming }) = fitted(row, &file.state, size.unwrap_or(row.input()))?;
        session.line(format_args!("{}, with the names of {naming}, for {}", file.state.format, row.name()))?;
        let known = match (published, naming) {
            (Some(published), _) => Some(PreparationSource::Parameters {
                preprocess: Box::new(published.preprocess()),
                origin: format!("as torchvision's {} for {} want it", published.weights, published.architecture),
            }),
            // The published weights of Keras' VGG are Caffe's, and its own training prepares images the same way.
            (None, Naming::Keras) => Some(PreparationSource::Preset {
                preset: Preset::CaffeBgr,
                order: None,
                origin: "as Keras prepares them for VGG".to_owned(),
            }),
            // CIFAR's images are as small as they are.
            (None, _) if row.input() == [32; 2] => Some(PreparationSource::Preset {
                preset: Preset::Squashed,
                order: None,
                origin: "as for most CIFAR networks".to_owned(),
            }),
            (None, _) => None,
        };
        let labels = published.map(|_| NamedLabels::new(Labels::imagenet(), "the published network"));
        let scores = graph.classifier().map(|_| ScoreSpec::default());
        let mut draft = Self { graph, params, architecture: row.name().to_owned(), labels, scores, known };
        draft.drop_empty_classifier(session)?;
        Ok(draft)
    }

    /// torchvision publishes a VGG whose classifier is not a number: only its features are meant.
    fn drop_empty_classifier(&mut self, session: &ImportSession<'_>) -> Result<()> {
        let Some(classifier) = self.graph.classifier() else { return Ok(()) };
        let node = self.graph.node(classifier.node());
        let is_nan = |tensor: &Tensor| tensor.data().iter().all(|number| number.is_nan());
        if node.params.iter().filter_map(|name| self.params.get(name)).all(is_nan) {
            session.line(format_args!("its classifier is not a number: only the features are kept"))?;
            let first = self.graph.iter().find(|(_, node)| matches!(node.op, models::Op::Linear(_)));
            let features = first.map_or(classifier.node(), |(id, _)| id);
            self.graph = self.graph.prefix(self.graph.node(features).inputs[0]);
            self.params = self.params.select(&self.graph)?;
            self.scores = None;
        }
        Ok(())
    }
}

fn named(name: &str) -> Result<Architecture> {
    let names = || zoo::all().map(Architecture::name).collect::<Vec<_>>().join(", ");
    zoo::find(name).with_context(|| format!("there is no network `{name}`; there are {}", names()))
}

/// The graph with the weights.
fn fitted(row: Architecture, state: &StateDict, input: [usize; 2]) -> Result<(Graph, FittedWeights)> {
    let graph = graph_for(row, state, input)?;
    let fitted = weights::fit(&graph, state)?;
    Ok((graph, fitted))
}

/// The graph for as many classes as the file has, or its headless part.
fn graph_for(row: Architecture, state: &StateDict, input: [usize; 2]) -> Result<Graph, GraphError> {
    let graph = row.graph(input, row.classes())?;
    match weights::classes(&graph, state) {
        Some(classes) if weights::has_classifier(&graph, state) => row.graph(input, classes),
        _ => Ok(graph.prefix(weights::covered(&graph, state))),
    }
}

/// Every network whose tensors these may be.
pub(in crate::cli) fn fits(state: &StateDict) -> Vec<Architecture> {
    zoo::all().filter(|row| fitted(*row, state, row.input()).is_ok()).collect()
}

/// Why they are no network's.
pub(in crate::cli) fn misfit(state: &StateDict) -> String {
    // Of equals the first, which `max_by_key` would not give.
    match zoo::all().filter_map(|row| misfit_of(row, state)).min_by_key(|misfit| Reverse(misfit.likeness)) {
        Some(Misfit { row, error, .. }) => {
            format!("the tensors fit no network; the nearest is {}: {error}", row.name())
        }
        None => "the tensors fit no network; `graft arch list` lists those that there are".to_owned(),
    }
}

/// The one network whose tensors these are.
fn recognized(state: &StateDict) -> Result<Architecture> {
    match fits(state)[..] {
        [row] => Ok(row),
        [] => bail!("{}", misfit(state)),
        ref several => {
            let names = several.iter().map(|row| row.name()).collect::<Vec<_>>().join(", ");
            bail!("the tensors fit {names}, which differ in what they compute; say which with --arch")
        }
    }
}

/// A network that the file shares names with.
struct Misfit {
    row: Architecture,
    /// What is wrong.
    error: FitError,
    likeness: Likeness,
}

fn misfit_of(row: Architecture, state: &StateDict) -> Option<Misfit> {
    let graph = graph_for(row, state, row.input()).ok()?;
    let error = weights::fit(&graph, state).err().filter(|error| !matches!(error, FitError::Names { .. }))?;
    Some(Misfit { row, error, likeness: weights::likeness(&graph, state) })
}
