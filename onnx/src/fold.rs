//! Multiplying batch normalisation into the convolution before it.

use std::collections::{HashMap, HashSet};

use models::graph::{GraphError, Node};
use models::ops::{Conv2d, Op};
use models::params::ParamsError;
use models::{Graph, NodeId, Params, Tensor};
use thiserror::Error;

/// Why a network cannot be folded: it was not well formed.
#[derive(Debug, Error)]
pub enum FoldError {
    /// A parameter that the graph names is missing.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The folded nodes do not make a network.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The same network with every batch normalisation folded whose convolution nothing else looks at:
/// `w' = w·γ/√(σ²+eps)`, `b' = β + (b - μ)·γ/√(σ²+eps)`, computed in f64. Exact up to rounding, and not invertible: keep
/// the unfolded weights for further training.
///
/// # Errors
/// [`FoldError`] when the parameters are not the graph's.
pub fn batch_norm(graph: &Graph, params: &Params) -> Result<(Graph, Params), FoldError> {
    let uses = graph.uses();
    let norms: HashMap<NodeId, NodeId> = graph
        .iter()
        .filter(|(_, node)| matches!(node.op, Op::BatchNorm(_)))
        .map(|(norm, node)| (node.inputs[0], norm))
        .filter(|(conv, _)| uses[conv.index()] == 1 && matches!(graph.node(*conv).op, Op::Conv2d(_)))
        .collect();
    let norm_ids: HashSet<NodeId> = norms.values().copied().collect();
    let mut weights = params.clone();
    let graph = graph.rebuild::<FoldError>(|builder, id, node| match (&node.op, norms.get(&id)) {
        (Op::Conv2d(conv), Some(&norm)) => {
            let names = vec![node.params[0].clone(), bias_name(&node)];
            let [weight, bias] = multiply(params, &node, graph.node(norm))?;
            weights.insert(names[0].clone(), weight);
            weights.insert(names[1].clone(), bias);
            let op = Conv2d { bias: true, ..conv.clone() }.into();
            Ok(builder.push_node(Node { op, params: names, ..node })?)
        }
        _ if norm_ids.contains(&id) => Ok(node.inputs[0]),
        _ => Ok(builder.push_node(node)?),
    })?;
    let weights = weights.select(&graph)?;
    Ok((graph, weights))
}

/// The bias that the convolution has, or gets beside its weight.
fn bias_name(conv: &Node) -> String {
    match &conv.params[..] {
        [_, bias] => bias.clone(),
        [weight, ..] => format!("{}.bias", weight.strip_suffix(".weight").unwrap_or(weight)),
        [] => format!("{}.bias", conv.name),
    }
}

/// Weight and bias of the convolution with the normalisation in them.
fn multiply(params: &Params, conv: &Node, norm: &Node) -> Result<[Tensor; 2], ParamsError> {
    let get = |name: &String| params.get(name).ok_or_else(|| ParamsError::Missing { name: name.clone() });
    let Op::BatchNorm(op) = &norm.op else { unreachable!("only batch normalisations are collected") };
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|index| get(&norm.params[index]));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let weight = get(&conv.params[0])?;
    let old_bias = conv.params.get(1).map(get).transpose()?;
    let scale = |channel: usize| {
        f64::from(gamma.data()[channel]) / (f64::from(variance.data()[channel]) + f64::from(op.eps)).sqrt()
    };
    let per_channel = weight.data().len() / op.channels;
    let scaled = weight
        .data()
        .chunks(per_channel)
        .enumerate()
        .flat_map(|(channel, taps)| taps.iter().map(move |&tap| (f64::from(tap) * scale(channel)) as f32))
        .collect();
    let bias = (0..op.channels)
        .map(|channel| {
            let old = old_bias.map_or(0.0, |bias| f64::from(bias.data()[channel]));
            (f64::from(beta.data()[channel]) + (old - f64::from(mean.data()[channel])) * scale(channel)) as f32
        })
        .collect();
    Ok([Tensor::new(weight.shape(), scaled), Tensor::new([op.channels], bias)])
}
