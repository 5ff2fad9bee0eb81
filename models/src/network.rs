//! A graph with its weights and its spec.

use crate::graph::Graph;
use crate::params::{Params, ParamsError};
use crate::spec::ModelSpec;

/// A network with its weights and its spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// From RGB pixels in `0.0..=255.0`, `[n, 3, h, w]`, to logits `[n, classes]`, or to features for a backbone.
    pub graph: Graph,
    /// The parameters that the graph names, and no others.
    pub params: Params,
    /// Preprocessing, labels and training record.
    pub spec: ModelSpec,
}

impl Network {
    /// Checks the parameters against the graph and drops those that it does not name.
    ///
    /// # Errors
    /// [`ParamsError`] naming the first parameter that is missing or has another shape than the graph declares.
    pub fn new(graph: Graph, params: &Params, spec: ModelSpec) -> Result<Self, ParamsError> {
        let params = params.select(&graph)?;
        Ok(Self { graph, params, spec })
    }
}
