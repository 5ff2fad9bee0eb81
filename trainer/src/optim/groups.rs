//! Which parameters decay, and which learn more slowly.

use crate::options;
use std::collections::BTreeSet;

use models::Graph;
use models::ops::Op;
use models::ops::numbers;
use serde::{Deserialize, Serialize};

use super::OptimError;

/// How parameters differ in learning rate and weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Groups {
    /// The strength of the decay of those that decay, 0 or more: part of the gradient as `weight_decay·w`, or apart
    /// from it in [`OptimizerKind::AdamW`](super::OptimizerKind::AdamW).
    pub weight_decay: f64,
    /// Those that decay.
    pub decayed: Decayed,
    /// What the learning rate is multiplied by for each layer between a parameter and the output, above 0 and 1 at
    /// most; 1 treats all alike. Howard and Ruder 2018, section 3.2, take 1/2.6 for each layer but the last.
    pub layer_decay: f64,
    /// What the head's learning rate is multiplied by, above 0.
    pub head_rate: f64,
}

/// Parameters that decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decayed {
    /// The kernels of convolutions and linear layers, not biases and not the parameters of batch normalization.
    Kernels,
    /// The kernels of convolutions alone, as in tflearn's residual network.
    Convolutions,
    /// Everything, as `torch.optim` does unless told otherwise, and as He et al. 2015 did.
    Everything,
}

/// What a parameter does in its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel of a convolution.
    ConvKernel,
    /// The matrix of a linear layer.
    LinearKernel,
    /// What a convolution or a linear layer adds.
    Bias,
    /// What batch normalization, or its folded form, multiplies by.
    NormScale,
    /// What batch normalization, or its folded form, adds.
    NormShift,
    /// Anything else.
    Other,
}

/// What is known of a trainable parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamInfo {
    /// Its name in [`Params`](models::Params).
    pub name: String,
    /// Its dimensions, in PyTorch's layout.
    pub dims: Vec<usize>,
    /// What its layer uses it for.
    pub kind: Kind,
    /// Convolutions and linear layers between its own and the output, on the longest way: 0 for the head. A
    /// normalization has the depth of the convolution before it.
    pub depth: usize,
}

/// A parameter as an optimizer sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name, unique.
    pub name: String,
    /// How many numbers it has.
    pub numbers: usize,
    /// What the learning rate is multiplied by.
    pub rate: f64,
    /// The strength of its decay.
    pub weight_decay: f64,
}

impl Default for Groups {
    fn default() -> Self {
        Self { weight_decay: 0.0, decayed: Decayed::Kernels, layer_decay: 1.0, head_rate: 1.0 }
    }
}

impl Groups {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`OptimError::Option`] naming the first that does not.
    pub fn validate(&self) -> Result<(), OptimError> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let table = [
            (self.weight_decay.is_finite() && self.weight_decay >= 0.0, "weight_decay", "zero or more"),
            (positive(self.layer_decay) && self.layer_decay <= 1.0, "layer_decay", "above 0 and 1 at most"),
            (positive(self.head_rate), "head_rate", "a positive number"),
        ];
        Ok(options::check(&table)?)
    }

    /// A parameter with its own learning rate and decay.
    #[must_use]
    pub fn parameter(&self, info: &ParamInfo) -> Parameter {
        let decays = match self.decayed {
            Decayed::Kernels => matches!(info.kind, Kind::ConvKernel | Kind::LinearKernel),
            Decayed::Convolutions => info.kind == Kind::ConvKernel,
            Decayed::Everything => true,
        };
        let head = if info.depth == 0 { self.head_rate } else { 1.0 };
        Parameter {
            name: info.name.clone(),
            numbers: numbers(&info.dims),
            rate: head * self.layer_decay.powf(info.depth as f64),
            weight_decay: if decays { self.weight_decay } else { 0.0 },
        }
    }
}

impl ParamInfo {
    /// The trainable parameters of a network in the order of its nodes; one that several nodes share is listed once,
    /// where it is first.
    #[must_use]
    pub fn of(graph: &Graph) -> Vec<Self> {
        let depths = depths(graph);
        let mut names = BTreeSet::new();
        let mut infos = Vec::new();
        for (node, depth) in graph.nodes().iter().zip(depths) {
            for (name, declared) in node.params().filter(|(_, declared)| declared.trainable) {
                if names.insert(name) {
                    let kind = Kind::of(&node.op, declared.role);
                    infos.push(Self { name: name.to_owned(), dims: declared.shape, kind, depth });
                }
            }
        }
        infos
    }
}

impl Kind {
    fn of(op: &Op, role: &str) -> Self {
        match (op, role) {
            (Op::Conv2d(_), "weight") => Kind::ConvKernel,
            (Op::Linear(_), "weight") => Kind::LinearKernel,
            (Op::Conv2d(_) | Op::Linear(_), "bias") => Kind::Bias,
            (Op::BatchNorm(_) | Op::Scale(_), "weight") => Kind::NormScale,
            (Op::BatchNorm(_) | Op::Scale(_), "bias") => Kind::NormShift,
            _ => Kind::Other,
        }
    }
}

/// For each node, how many layers with a kernel come after it on the longest way to the output.
fn depths(graph: &Graph) -> Vec<usize> {
    let mut depths = vec![0; graph.nodes().len()];
    for (id, node) in graph.iter().rev() {
        let through = depths[id.index()] + usize::from(matches!(node.op, Op::Conv2d(_) | Op::Linear(_)));
        for input in &node.inputs {
            depths[input.index()] = depths[input.index()].max(through);
        }
    }
    depths
}

impl Parameter {
    /// A parameter that learns at the whole rate and does not decay.
    #[must_use]
    pub fn plain(name: &str, numbers: usize) -> Self {
        Self { name: name.to_owned(), numbers, rate: 1.0, weight_decay: 0.0 }
    }

    /// What L2 regularisation adds to the loss for these weights: `weight_decay · Σw²/2`, TensorFlow's `l2_loss`. Its
    /// gradient is the decay that the rules add.
    #[must_use]
    pub fn penalty(&self, weights: &[f32]) -> f64 {
        if self.weight_decay == 0.0 {
            return 0.0;
        }
        self.weight_decay * super::global_norm(&[weights]).powi(2) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use models::ops::{Add, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, Relu, Shape};

    use super::*;

    /// A stem, a block of two convolutions with a shortcut around them, and a head.
    fn network() -> Graph {
        let mut graph = models::graph::GraphBuilder::new("input", Shape::new([3, 8, 8]));
        let conv = |channels| Conv2d { bias: channels == 3, ..Conv2d::new(channels, 4, 3).padding(1) };
        let stem = graph.push("stem", conv(3), &[graph.input()]).unwrap();
        let norm = graph.push("norm", BatchNorm::new(4), &[stem]).unwrap();
        let a = graph.push("a", conv(4), &[norm]).unwrap();
        let relu = graph.push("relu", Relu, &[a]).unwrap();
        let b = graph.push("b", conv(4), &[relu]).unwrap();
        let sum = graph.push("sum", Add, &[b, norm]).unwrap();
        let pool = graph.push("pool", GlobalAvgPool, &[sum]).unwrap();
        let flat = graph.push("flat", Flatten, &[pool]).unwrap();
        let head = Linear { in_features: 4, out_features: 2, bias: true };
        let head = graph.push("head", head, &[flat]).unwrap();
        graph.finish(head)
    }

    fn settings(groups: Groups) -> Vec<(String, f64, f64)> {
        let parameters = ParamInfo::of(&network()).into_iter().map(|info| groups.parameter(&info));
        parameters.map(|parameter| (parameter.name, parameter.rate, parameter.weight_decay)).collect()
    }

    #[test]
    fn a_network_says_what_its_parameters_do() {
        let infos = ParamInfo::of(&network());
        let actual: Vec<_> = infos.iter().map(|info| (info.name.as_str(), info.kind, info.depth)).collect();
        let expected = [
            ("stem.weight", Kind::ConvKernel, 3),
            ("stem.bias", Kind::Bias, 3),
            ("norm.weight", Kind::NormScale, 3),
            ("norm.bias", Kind::NormShift, 3),
            ("a.weight", Kind::ConvKernel, 2),
            ("b.weight", Kind::ConvKernel, 1),
            ("head.weight", Kind::LinearKernel, 0),
            ("head.bias", Kind::Bias, 0),
        ];
        assert_eq!(actual, expected);
        assert_eq!(infos[0].dims, [4, 3, 3, 3]);
    }

    #[test]
    fn decay_is_for_those_that_are_named() {
        let decayed = |decayed| {
            let of = settings(Groups { weight_decay: 0.5, decayed, ..Groups::default() }).into_iter();
            of.filter(|(.., decay)| *decay == 0.5).map(|(name, ..)| name).collect::<Vec<_>>()
        };
        assert_eq!(decayed(Decayed::Kernels), ["stem.weight", "a.weight", "b.weight", "head.weight"]);
        assert_eq!(decayed(Decayed::Convolutions), ["stem.weight", "a.weight", "b.weight"]);
        assert_eq!(decayed(Decayed::Everything).len(), 8);
    }

    #[test]
    fn layers_learn_more_slowly_the_farther_they_are_from_the_head() {
        let rates: Vec<_> = settings(Groups { layer_decay: 0.5, head_rate: 10.0, ..Groups::default() })
            .into_iter()
            .map(|(_, rate, _)| rate)
            .collect();
        assert_eq!(rates, [0.125, 0.125, 0.125, 0.125, 0.25, 0.5, 10.0, 10.0]);
    }

    #[test]
    fn the_penalty_is_half_the_squares() {
        let parameter = Parameter { weight_decay: 0.1, ..Parameter::plain("w", 2) };
        // 0.1 · (9 + 16) / 2; the root and its square round.
        assert!((parameter.penalty(&[3.0, -4.0]) - 1.25).abs() < 1e-12);
        assert_eq!(Parameter::plain("w", 1).penalty(&[3.0]), 0.0);
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        let refused = |groups: Groups| match groups.validate() {
            Err(OptimError::Option(options::OptionError { option, .. })) => option,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Groups { weight_decay: -1.0, ..Groups::default() }), "weight_decay");
        assert_eq!(refused(Groups { layer_decay: 1.5, ..Groups::default() }), "layer_decay");
        assert_eq!(refused(Groups { head_rate: f64::NAN, ..Groups::default() }), "head_rate");
        assert_eq!(Groups::default().validate(), Ok(()));
    }
}
