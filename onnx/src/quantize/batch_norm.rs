//! Batch normalization as a convolution.

use std::collections::HashSet;

use models::Tensor;

use super::error::QuantizeError;
use super::view::GraphView;
use crate::edit::{free, names};
use crate::proto::{Dimension, GraphProto, NodeProto, TensorProto};
use crate::write::{Attribute, floats};

/// Rewrites each batch normalization of images as a 1x1 convolution of each channel by itself: `x·γ/√(σ²+eps) + β - μ·γ/√(σ²+eps)`.
/// ONNX Runtime has integer kernels for convolutions and none for batch normalization; those that can be folded into the
/// convolution before them are folded by the export.
pub(super) fn as_convolutions(graph: &mut GraphProto) -> Result<(), QuantizeError> {
    let view = GraphView::new(graph);
    let mut taken: HashSet<String> = names(graph).collect();
    let mut rewritten = Vec::new();
    for (index, node) in graph.node.iter().enumerate().filter(|(_, node)| is_norm(node, &view)) {
        let convolution = convolution(node, &view, &mut taken)?;
        rewritten.push((index, convolution));
    }
    for (index, (node, weights)) in rewritten {
        graph.node[index] = node;
        graph.initializer.extend(weights);
    }
    super::drop_unused(graph);
    Ok(())
}

/// A batch normalization of images with stored statistics.
fn is_norm(node: &NodeProto, view: &GraphView<'_>) -> bool {
    let int = |name: &str| node.attribute.iter().find(|a| a.name == name).and_then(|a| a.i).unwrap_or(0);
    node.op_type == "BatchNormalization"
        && node.input.len() == 5
        && node.output.iter().skip(1).all(String::is_empty)
        && int("training_mode") == 0
        && node.input[1..].iter().all(|input| view.weight(input).is_some())
        && is_image(&node.input[0], view)
}

/// Whether a tensor has height and width, as far as the nodes before it tell.
fn is_image(tensor: &str, view: &GraphView<'_>) -> bool {
    const KEEP: [&str; 20] = [
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Concat",
        "MaxPool",
        "AveragePool",
        "LRN",
        "Dropout",
        "Identity",
        "Cast",
        "BatchNormalization",
    ];
    let mut at = tensor;
    while let Some(node) = view.producer(at) {
        match node.op_type.as_str() {
            "Conv" => {
                return node.input.get(1).and_then(|weight| view.weight(weight)).is_some_and(|w| w.dims.len() == 4);
            }
            kind if KEEP.contains(&kind) => {
                let Some(input) = node.input.iter().find(|input| !view.is_constant(input)) else { return false };
                at = input;
            }
            _ => return false,
        }
    }
    let input = view.graph.input.iter().find(|input| input.name == at);
    let shape = input.and_then(|input| input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref());
    shape.is_some_and(|shape| {
        shape.dim.len() == 4 && shape.dim[2..].iter().all(|dim| matches!(dim.value, Some(Dimension::Value(_))))
    })
}

fn convolution(
    norm: &NodeProto,
    view: &GraphView<'_>,
    taken: &mut HashSet<String>,
) -> Result<(NodeProto, [TensorProto; 2]), QuantizeError> {
    let numbers = |index: usize| view.numbers(&norm.input[index]);
    let (gamma, beta, mean, variance) = (numbers(1)?, numbers(2)?, numbers(3)?, numbers(4)?);
    let epsilon = norm.attribute.iter().find(|attribute| attribute.name == "epsilon").and_then(|a| a.f);
    let epsilon = f64::from(epsilon.unwrap_or(1e-5));
    let channels = gamma.data().len();
    if [&beta, &mean, &variance].iter().any(|numbers| numbers.data().len() != channels) {
        let reason =
            format!("has {channels} channels, and the other parameters of its batch normalization have others");
        return Err(QuantizeError::Weight { name: norm.input[1].clone(), reason });
    }
    let scale =
        |channel: usize| f64::from(gamma.data()[channel]) / (f64::from(variance.data()[channel]) + epsilon).sqrt();
    let weight = (0..channels).map(|channel| scale(channel) as f32).collect();
    let shift = |channel: usize| f64::from(beta.data()[channel]) - f64::from(mean.data()[channel]) * scale(channel);
    let bias = (0..channels).map(|channel| shift(channel) as f32).collect();
    let mut name = |role: &str| {
        let name = free(&format!("{}.{role}", norm.output[0]), taken);
        taken.insert(name.clone());
        name
    };
    let weights = [
        floats(&name("weight"), &Tensor::new([channels, 1, 1, 1], weight)),
        floats(&name("bias"), &Tensor::new([channels], bias)),
    ];
    let node = NodeProto {
        op_type: "Conv".to_owned(),
        input: vec![norm.input[0].clone(), weights[0].name.clone(), weights[1].name.clone()],
        output: vec![norm.output[0].clone()],
        attribute: vec![
            Attribute::int("group", channels).into_proto(),
            Attribute::ints("kernel_shape", &[1, 1]).into_proto(),
        ],
        ..norm.clone()
    };
    Ok((node, weights))
}
