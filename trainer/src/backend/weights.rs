//! The parameters of a network as the layers want them.

use std::collections::HashMap;

use models::params::ParamsError;
use models::{Graph, Params, Tensor};

/// The parameters of a graph, each once, however many nodes share it.
#[derive(Debug, Clone)]
pub(super) struct Weights<S = Vec<f32>> {
    parameters: Vec<Parameter>,
    /// Of each parameter, in the layers' layout: convolutions' weights are `[kh, kw, in / groups, out]`. They are where the
    /// executor computes.
    numbers: Vec<S>,
    /// For each node of the graph the ids of its parameters, in the node's order.
    nodes: Vec<Vec<usize>>,
}

/// A tensor of the state dict.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in the state dict.
    pub name: String,
    /// Its shape in the state dict, PyTorch's layout.
    pub shape: Vec<usize>,
    /// What its node calls it: `weight`, `bias`, `running_mean`, …
    pub role: &'static str,
    /// The operator of the first node that has it, such as `Conv2d`.
    pub operator: &'static str,
    /// False for running statistics.
    pub trainable: bool,
}

impl Weights {
    /// Those that the graph names.
    ///
    /// # Errors
    /// [`ParamsError`] naming the first that is missing or misshapen.
    pub(super) fn new(graph: &Graph, params: &Params) -> Result<Self, ParamsError> {
        let params = params.select(graph)?;
        let mut weights = Self { parameters: vec![], numbers: vec![], nodes: vec![] };
        let mut ids: HashMap<&str, usize> = HashMap::new();
        for node in graph.nodes() {
            let mut param_ids = Vec::new();
            for (name, declared) in node.params() {
                let id = *ids.entry(name).or_insert(weights.parameters.len());
                if id == weights.parameters.len() {
                    let tensor = params.get(name).ok_or_else(|| ParamsError::Missing { name: name.to_owned() })?;
                    weights.parameters.push(Parameter {
                        name: name.to_owned(),
                        shape: declared.shape,
                        role: declared.role,
                        operator: node.op.operator().kind(),
                        trainable: declared.trainable,
                    });
                    weights.numbers.push(to_layer_layout(tensor));
                }
                param_ids.push(id);
            }
            weights.nodes.push(param_ids);
        }
        Ok(weights)
    }

    /// As a state dict.
    pub(super) fn to_params(&self) -> Params {
        let numbered = self.parameters.iter().zip(&self.numbers);
        numbered.map(|(parameter, numbers)| (parameter.name.clone(), parameter.tensor(numbers))).collect()
    }

    /// The numbers of each, in the layers' layout.
    pub(super) fn numbers(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.numbers.iter().map(Vec::as_slice)
    }

    /// The numbers of each, to be changed.
    pub(super) fn numbers_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f32]> {
        self.numbers.iter_mut().map(Vec::as_mut_slice)
    }

    pub(super) fn get(&self, id: usize) -> &[f32] {
        &self.numbers[id]
    }
}

impl<S> Weights<S> {
    /// All of them, in the order in which the graph's nodes name them.
    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The ids of a node's parameters.
    pub(super) fn param_ids(&self, node: usize) -> &[usize] {
        &self.nodes[node]
    }

    pub(super) fn replace(&mut self, id: usize, numbers: S) {
        self.numbers[id] = numbers;
    }

    /// The same parameters with their numbers elsewhere.
    #[cfg(feature = "candle")]
    pub(super) fn try_map<T, E>(self, map: impl Fn(&Parameter, S) -> Result<T, E>) -> Result<Weights<T>, E> {
        let Self { parameters, numbers, nodes } = self;
        let moved = parameters.iter().zip(numbers).map(|(parameter, numbers)| map(parameter, numbers));
        Ok(Weights { numbers: moved.collect::<Result<_, E>>()?, parameters, nodes })
    }

    /// The numbers of each, wherever they are.
    #[cfg(feature = "candle")]
    pub(super) fn stored(&self) -> &[S] {
        &self.numbers
    }
}

impl Parameter {
    /// Its dimensions in the layers' layout.
    #[cfg(feature = "candle")]
    pub(super) fn layer_shape(&self) -> Vec<usize> {
        match self.shape[..] {
            [out, input, height, width] => vec![height, width, input, out],
            _ => self.shape.clone(),
        }
    }

    /// Numbers in the layers' layout, such as a gradient's, as a tensor of the state dict.
    #[must_use]
    pub fn tensor(&self, numbers: &[f32]) -> Tensor {
        match self.shape[..] {
            [out, input, height, width] => {
                let taps = height * width;
                let index = |at: usize| {
                    let (to, from, tap) = (at / (input * taps), at / taps % input, at % taps);
                    (tap * input + from) * out + to
                };
                Tensor::new([out, input, height, width], (0..numbers.len()).map(|at| numbers[index(at)]).collect())
            }
            _ => Tensor::new(self.shape.clone(), numbers.to_vec()),
        }
    }
}

/// `[out, in, kh, kw]` as `[kh, kw, in, out]`, and any other shape as it is. Only convolutions' weights have four dimensions.
pub(super) fn to_layer_layout(tensor: &Tensor) -> Vec<f32> {
    let [out, input, height, width] = tensor.shape() else { return tensor.data().to_vec() };
    let (taps, data) = (height * width, tensor.data());
    let index = |at: usize| {
        let (tap, from, to) = (at / (input * out), at / out % input, at % out);
        (to * input + from) * taps + tap
    };
    (0..data.len()).map(|at| data[index(at)]).collect()
}

#[cfg(test)]
mod tests {
    use models::GraphBuilder;
    use models::ops::{Conv2d, Shape};

    use super::*;

    #[test]
    fn a_kernel_comes_back_as_it_went_in() {
        let mut builder = GraphBuilder::new("x", Shape::image(2, 4, 4));
        let conv = builder.push("conv", Conv2d::new(2, 3, 2), &[builder.input()]).unwrap();
        let graph = builder.finish(conv);
        let tensor = |shape: &[usize]| {
            let count = shape.iter().product::<usize>();
            Tensor::new(shape, (0..count).map(|at| at as f32).collect())
        };
        let params: Params =
            [("conv.weight".to_owned(), tensor(&[3, 2, 2, 2])), ("conv.bias".to_owned(), tensor(&[3]))]
                .into_iter()
                .collect();
        let weights = Weights::new(&graph, &params).unwrap();
        // Output channels lie together: the first tap of the first input channel, of each of the three.
        assert_eq!(weights.numbers[0][..3], [0.0, 8.0, 16.0]);
        assert_eq!(weights.to_params(), params);
    }
}
