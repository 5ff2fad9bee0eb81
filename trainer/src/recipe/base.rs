//! The pretrained network of a recipe, with its new head.

use std::collections::BTreeSet;

use models::graph::{GraftedGraph, NodeId};
use models::{Graph, Network, Params, Preprocess, init};

use super::{Recipe, RecipeError};
use crate::finetune::{FinetuneStrategy, HEAD, trained};
use crate::fit::ImageExamples;
use crate::options::OptionError;

/// A trained network with a new head.
pub(super) struct GraftedBase {
    pub(super) graph: Graph,
    pub(super) params: Params,
    pub(super) preprocess: Preprocess,
    /// The names of what is trained.
    pub(super) trained: BTreeSet<String>,
    /// Where features are what the head takes, and the head.
    pub(super) head: [NodeId; 2],
}

/// A head that is trained before anything else is, on features of the images as they are.
pub(super) struct HeadFirst {
    pub(super) nodes: [NodeId; 2],
    pub(super) images: ImageExamples,
}

impl GraftedBase {
    pub(super) fn new(recipe: &Recipe, base: &Network, classes: usize) -> Result<Self, RecipeError> {
        let GraftedGraph { graph, features, head } = base.graph.graft(HEAD, classes)?;
        let mut params = init::he(&graph, recipe.training.seed);
        for (_, node) in graph.iter().filter(|(id, _)| *id != head) {
            for (name, tensor) in node.params.iter().filter_map(|name| Some((name, base.params.get(name)?))) {
                params.insert(name.clone(), tensor.clone());
            }
        }
        let strategy = recipe.strategy.unwrap_or(FinetuneStrategy::Full);
        let trained = trained(&graph, head, strategy, recipe.stages.unwrap_or(1));
        let wanted = "no more than the base has stages behind its first";
        let trained = trained.ok_or(OptionError { option: "stages", wanted })?;
        Ok(Self { graph, params, preprocess: base.spec.preprocess.clone(), trained, head: [features, head] })
    }
}
