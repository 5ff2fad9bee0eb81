//! Networks whose one output number decides between two classes.

use crate::graph::{Graph, GraphError};
use crate::ops::{Conv2d, Flatten, Linear, Op};
use crate::params::{Params, Tensor};

/// Gives a network that ends in one logit a second one of zero before it, so that the softmax of both is `1 - p, p` with `p`
/// the sigmoid of the logit. `None` for a network that does not end in a classifier with one output of its own.
///
/// # Errors
/// [`GraphError`] when a node behind the classifier does not accept two numbers.
pub fn with_two_logits(graph: &Graph, params: &Params) -> Result<Option<(Graph, Params)>, GraphError> {
    let Some(classifier) = graph.classifier().filter(|_| graph.shape(graph.output()).len() == 1) else {
        return Ok(None);
    };
    let head = classifier.node();
    let names = graph.node(head).params.clone();
    let shared = |name: &String| graph.nodes().iter().filter(|node| node.params.contains(name)).count() > 1;
    if names.iter().any(shared) {
        return Ok(None);
    }
    let mut widened = params.clone();
    for name in &names {
        let Some(tensor) = params.get(name) else { return Ok(None) };
        widened.insert(name, behind_zeros(tensor));
    }
    let graph = graph.rebuild(|builder, id, mut node| {
        node.op = match node.op {
            Op::Linear(linear) if id == head => Linear { out_features: 2, ..linear }.into(),
            Op::Conv2d(conv) if id == head => Conv2d { out_channels: 2, ..conv }.into(),
            Op::Reshape(reshape) if id > head && reshape.shape.len() == 1 => Flatten.into(),
            op => op,
        };
        builder.push_node(node)
    })?;
    Ok(Some((graph, widened)))
}

/// A weight or bias of one output, as that of two outputs of which the first is always zero.
fn behind_zeros(tensor: &Tensor) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    shape[0] = 2;
    let data = [vec![0.0; tensor.data().len()], tensor.data().to_vec()].concat();
    Tensor::new(shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use crate::ops::{GlobalAvgPool, Relu, Reshape, Shape};

    fn params(weight: &[usize]) -> Params {
        let mut params = Params::default();
        params.insert("head.weight", Tensor::new(weight, vec![2.0; weight.iter().product()]));
        params.insert("head.bias", Tensor::new([1], vec![3.0]));
        params
    }

    #[test]
    fn the_first_of_two_logits_is_always_zero() {
        let mut graph = GraphBuilder::new("x", Shape::image(4, 1, 1));
        let x = graph.push("flat", Flatten, &[graph.input()]).unwrap();
        let x = graph.push("head", Linear::new(4, 1), &[x]).unwrap();
        let (graph, params) = with_two_logits(&graph.finish(x), &params(&[1, 4])).unwrap().unwrap();
        assert_eq!(graph.shape(graph.output()).dims(), [2]);
        assert_eq!(params.get("head.weight").unwrap().data(), [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(params.get("head.bias").unwrap().data(), [0.0, 3.0]);
    }

    #[test]
    fn a_convolution_that_is_averaged_is_widened_as_well() {
        let mut graph = GraphBuilder::new("x", Shape::image(4, 3, 3));
        let x = graph.push("head", Conv2d::new(4, 1, 1), &[graph.input()]).unwrap();
        let x = graph.push("pool", GlobalAvgPool, &[x]).unwrap();
        let x = graph.push("one", Reshape { shape: Shape::vector(1) }, &[x]).unwrap();
        let (graph, params) = with_two_logits(&graph.finish(x), &params(&[1, 4, 1, 1])).unwrap().unwrap();
        assert_eq!(graph.shape(graph.output()).dims(), [2]);
        assert_eq!(params.get("head.weight").unwrap().shape(), [2, 4, 1, 1]);
    }

    #[test]
    fn features_of_one_number_stay_as_they_are() {
        let mut graph = GraphBuilder::new("x", Shape::image(1, 3, 3));
        let x = graph.push("relu", Relu, &[graph.input()]).unwrap();
        let x = graph.push("pool", GlobalAvgPool, &[x]).unwrap();
        assert_eq!(with_two_logits(&graph.finish(x), &Params::default()), Ok(None));
    }
}
