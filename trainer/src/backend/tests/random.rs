//! Numbers and weights for tests.

use models::{Graph, Params, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Far from corners: none nearer to another or to zero than the step of a difference, but by bad luck.
pub(in crate::backend) fn random(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-2.0..2.0)).collect()
}

pub(in crate::backend) fn random_params(graph: &Graph, rng: &mut ChaCha8Rng) -> Params {
    let declared = graph.nodes().iter().flat_map(|node| node.params());
    let tensor = |(name, declared): (&str, models::ops::ParamDecl)| {
        let count = declared.shape.iter().product();
        let numbers = match declared.role {
            "running_var" => (0..count).map(|_| rng.random_range(0.5..2.0)).collect(),
            _ => (0..count).map(|_| rng.random_range(-1.0..1.0)).collect(),
        };
        (name.to_owned(), Tensor::new(declared.shape, numbers))
    };
    declared.map(tensor).collect()
}
