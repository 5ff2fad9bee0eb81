//! Initialization schemes of the papers and of tflearn.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{he, normal};
use crate::graph::{Graph, Node};
use crate::ops::numbers;
use crate::ops::{Op, ParamDecl};
use crate::params::{Params, Tensor};

/// The distribution of initial weights. Biases are zero and normalizations the identity, except for tflearn's scales.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Normal with variance `2 / fan_in`, as [`he`] draws.
    #[default]
    He,
    /// Uniform within `±√(6 / (fan_in + fan_out))` (Glorot and Bengio 2010, equation 16), which the VGG paper recommends
    /// instead of its own training in stages.
    Glorot,
    /// tflearn's defaults. Convolutions behind a normalization, those of its `residual_block`: normal, cut off at two
    /// deviations, with variance `2 / fan_in` after the cut (`variance_scaling`). Other convolutions: uniform within
    /// `±√(3 / fan_in)` (`uniform_scaling`). Linear layers: normal with deviation 0.02, cut off at two
    /// (`truncated_normal`). Scales of batch normalization: normal about 1 with deviation 0.002.
    #[serde(rename = "tflearn")]
    TfLearn,
}

impl Scheme {
    /// Draws the initial weights of a network: equal for equal seeds.
    #[must_use]
    pub fn params(self, graph: &Graph, seed: u64) -> Params {
        let draw = match self {
            Scheme::He => return he(graph, seed),
            Scheme::Glorot => glorot,
            Scheme::TfLearn => tflearn,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut params = Params::default();
        for node in graph.nodes() {
            for (name, declared) in node.params() {
                let site = WeightSite { node, declared: &declared, behind_norm: behind_norm(graph, node) };
                let data = (0..numbers(&declared.shape)).map(|_| draw(&site, &mut rng)).collect();
                params.insert(name, Tensor::new(declared.shape.clone(), data));
            }
        }
        params
    }
}

/// A weight's position in the network.
struct WeightSite<'a> {
    node: &'a Node,
    declared: &'a ParamDecl,
    /// Whether a batch normalization comes right before it, with at most a ReLU between them.
    behind_norm: bool,
}

impl WeightSite<'_> {
    /// Inputs of each output.
    fn fan_in(&self) -> f32 {
        numbers(&self.declared.shape[1..]) as f32
    }

    /// Outputs of each input.
    fn fan_out(&self) -> f32 {
        (self.declared.shape[0] * numbers(&self.declared.shape[2..])) as f32
    }
}

fn glorot(site: &WeightSite<'_>, rng: &mut ChaCha8Rng) -> f32 {
    match (&site.node.op, site.declared.role) {
        (Op::Conv2d(_) | Op::Linear(_), "weight") => uniform((6.0 / (site.fan_in() + site.fan_out())).sqrt(), rng),
        (_, role) => trivial(role),
    }
}

fn tflearn(site: &WeightSite<'_>, rng: &mut ChaCha8Rng) -> f32 {
    match (&site.node.op, site.declared.role) {
        // 1.3 makes up for the variance that the cut takes away.
        (Op::Conv2d(_), "weight") if site.behind_norm => (1.3 * 2.0 / site.fan_in()).sqrt() * cut_normal(rng),
        (Op::Conv2d(_), "weight") => uniform((3.0 / site.fan_in()).sqrt(), rng),
        (Op::Linear(_), "weight") => 0.02 * cut_normal(rng),
        (Op::BatchNorm(_), "weight") => 1.0 + 0.002 * normal(rng),
        (_, role) => trivial(role),
    }
}

fn behind_norm(graph: &Graph, node: &Node) -> bool {
    let before = |node: &Node| node.inputs.first().map(|&id| graph.node(id).clone());
    let near = before(node).and_then(|node| if matches!(node.op, Op::Relu(_)) { before(&node) } else { Some(node) });
    near.is_some_and(|node| matches!(node.op, Op::BatchNorm(_)))
}

fn trivial(role: &str) -> f32 {
    if matches!(role, "weight" | "running_var") { 1.0 } else { 0.0 }
}

fn uniform(limit: f32, rng: &mut ChaCha8Rng) -> f32 {
    rng.random_range(-limit..=limit)
}

/// A standard normal number, drawn anew until it is within two deviations.
fn cut_normal(rng: &mut impl Rng) -> f32 {
    loop {
        let number = normal(rng);
        if number.abs() <= 2.0 {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo;

    /// Mean, deviation and largest absolute value of a tensor.
    fn described(params: &Params, name: &str) -> (f64, f64, f64) {
        let numbers: Vec<f64> = params.get(name).unwrap().data().iter().map(|&x| f64::from(x)).collect();
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt(), numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs())))
    }

    #[test]
    fn tflearn_draws_each_kind_of_layer_in_its_own_way() {
        let graph = zoo::find("tflearn_resnet32").unwrap().graph([32; 2], 10).unwrap();
        let params = Scheme::TfLearn.params(&graph, 1);
        // The first convolution: uniform within √(3/27), whose deviation is √(1/27).
        let (_, deviation, most) = described(&params, "conv1.weight");
        assert!((deviation - (1.0_f64 / 27.0).sqrt()).abs() < 0.01 && most <= 1.0 / 3.0, "{deviation} {most}");
        // A residual convolution with 576 inputs: the cut takes the variance back to about 2/fan_in (1.3 · 0.774 = 1.006),
        // and nothing is beyond two of the uncut deviations. 36,864 numbers: a standard error of 0.4 %.
        let (mean, deviation, most) = described(&params, "layer3.1.conv1.weight");
        let expected = (2.0_f64 / 576.0).sqrt();
        assert!(mean.abs() < 0.001 && (deviation / expected - 1.0).abs() < 0.02, "{deviation} {expected}");
        assert!(most <= 2.0 * (2.6_f64 / 576.0).sqrt() + 1e-6);
        let (_, deviation, most) = described(&params, "fc.weight");
        assert!((deviation - 0.02 * 0.88).abs() < 0.002 && most <= 0.04 + 1e-6, "{deviation} {most}");
        let (mean, deviation, _) = described(&params, "layer2.0.bn1.weight");
        assert!((mean - 1.0).abs() < 0.003 && deviation < 0.005, "{mean} {deviation}");
        assert_eq!(described(&params, "layer2.0.conv1.bias").2, 0.0);
    }

    #[test]
    fn glorot_is_bounded_by_both_fans() {
        let graph = zoo::find("resnet20_cifar").unwrap().graph([32; 2], 10).unwrap();
        let params = Scheme::Glorot.params(&graph, 1);
        let (_, deviation, most) = described(&params, "layer3.1.conv1.weight");
        let limit = (6.0_f64 / 1152.0).sqrt();
        assert!(most <= limit + 1e-6 && (deviation - limit / 3.0_f64.sqrt()).abs() < 0.001);
        assert_eq!(params, Scheme::Glorot.params(&graph, 1));
        assert_ne!(params, Scheme::Glorot.params(&graph, 2));
    }
}
