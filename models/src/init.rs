//! Initial weights.

mod scheme;

pub use scheme::Scheme;

use std::collections::HashSet;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::ops::{Op, ParamDecl};
use crate::params::{Params, Tensor};

/// He initialization (He et al. 2015, "Delving deep into rectifiers"): convolutions and linear layers normal with
/// variance `2 / fan_in`, biases zero, normalizations the identity. Equal for equal seeds.
#[must_use]
pub fn he(graph: &Graph, seed: u64) -> Params {
    fill(graph, seed, |ParamSite { role, .. }, rng| match role {
        "weight" | "running_var" => 1.0,
        "noise" => normal(rng),
        _ => 0.0,
    })
}

/// As [`he`], but with biases and batch-norm statistics that are not trivial, so that a network which forgets one of
/// them gives other answers. Branches that end in a sum are scaled by `1 / √(number of sums)`; without that a network of
/// a thousand layers overflows. For parity checks.
#[must_use]
pub fn scrambled(graph: &Graph, seed: u64) -> Params {
    let sums = graph.nodes().iter().filter(|node| matches!(node.op, Op::Add(_)));
    let added: HashSet<usize> = sums.clone().flat_map(|node| &node.inputs).map(|id| id.index()).collect();
    let share = 1.0 / (sums.count().max(1) as f32).sqrt();
    fill(graph, seed, |ParamSite { role, node }, rng| {
        let scale = if added.contains(&node) { share } else { 1.0 };
        match role {
            "noise" => scale * normal(rng),
            "weight" => scale * rng.random_range(0.7..1.1),
            "running_var" => rng.random_range(0.5..1.5),
            _ => 0.1 * normal(rng),
        }
    })
}

/// Which parameter a random number is for.
struct ParamSite {
    /// `noise` for the weights of convolutions and linear layers, which are scaled afterwards, otherwise the parameter's.
    role: &'static str,
    /// The node's index in the graph.
    node: usize,
}

/// Draws every tensor.
fn fill(graph: &Graph, seed: u64, draw: impl Fn(ParamSite, &mut ChaCha8Rng) -> f32) -> Params {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut params = Params::default();
    for (id, node) in graph.iter() {
        for (name, ParamDecl { role, shape, .. }) in node.params() {
            let product = matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) && role == "weight";
            let fan_in: usize = shape[1..].iter().product();
            let (role, scale) = if product { ("noise", (2.0 / fan_in as f32).sqrt()) } else { (role, 1.0) };
            let mut number = || scale * draw(ParamSite { role, node: id.index() }, &mut rng);
            let data = (0..shape.iter().product()).map(|_| number()).collect();
            params.insert(name, Tensor::new(shape, data));
        }
    }
    params
}

/// A standard normal number by the Box-Muller transform.
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}
