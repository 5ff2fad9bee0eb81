//! A graph with its weights and its spec.

use crate::graph::Graph;
use crate::params::{Params, ParamsError};
use crate::spec::ModelSpec;

/// Everything there is to know about a trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// From 0..255 RGB pixels `[n, 3, h, w]` to logits `[n, classes]` (or features, for a backbone).
    pub graph: Graph,
    /// The parameters that the graph names, and no others.
    pub params: Params,
    /// How to use it.
    pub spec: ModelSpec,
}

impl Network {
    /// Puts the three together.
    ///
    /// # Errors
    /// [`ParamsError`] naming the first parameter that is missing or has another shape than the graph declares.
    pub fn new(graph: Graph, params: &Params, spec: ModelSpec) -> Result<Self, ParamsError> {
        let params = params.select(&graph)?;
        Ok(Self { graph, params, spec })
    }
}
