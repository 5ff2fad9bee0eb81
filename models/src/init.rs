//! Weights for a network that has none yet.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::ops::{Op, ParamDecl};
use crate::params::{Params, Tensor};

/// He initialisation (He et al. 2015, "Delving deep into rectifiers"): convolutions and linear layers normal with
/// variance `2 / fan_in`, biases zero, batch normalisation the identity. Equal for equal seeds.
#[must_use]
pub fn he(graph: &Graph, seed: u64) -> Params {
    fill(graph, seed, |_, role, rng| match role {
        "weight" | "running_var" => 1.0,
        "noise" => normal(rng),
        _ => 0.0,
    })
}

/// As [`he`], but with biases and batch-norm statistics that are not trivial, so that a network which forgets one of
/// them gives other answers. For parity checks.
#[must_use]
pub fn scrambled(graph: &Graph, seed: u64) -> Params {
    fill(graph, seed, |_, role, rng| match role {
        "noise" => normal(rng),
        "weight" => rng.random_range(0.7..1.1),
        "running_var" => rng.random_range(0.5..1.5),
        _ => 0.1 * normal(rng),
    })
}

/// Draws every tensor. Weights of convolutions and linear layers ask for the role `noise` and are scaled here.
fn fill(graph: &Graph, seed: u64, draw: impl Fn(&Op, &str, &mut ChaCha8Rng) -> f32) -> Params {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut params = Params::default();
    for node in graph.nodes() {
        for (name, ParamDecl { role, shape, .. }) in node.params() {
            let product = matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) && role == "weight";
            let fan_in: usize = shape[1..].iter().product();
            let (role, scale) = if product { ("noise", (2.0 / fan_in as f32).sqrt()) } else { (role, 1.0) };
            let data = (0..shape.iter().product()).map(|_| scale * draw(&node.op, role, &mut rng)).collect();
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
