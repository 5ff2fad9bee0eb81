//! Running a graph: the forward pass, and the gradients of what is trained.
//!
//! The network is the node list, so the executor is a loop over it. Each operator family computes in a file of the same
//! name as in `models::ops`; a tensor is freed when the last node that takes it is done.

mod activation;
mod arithmetic;
mod conv;
mod linear;
mod norm;
mod pool;
mod region;
mod structure;

use candle_core::{CpuStorage, Device, Storage, Tensor};
use models::ops::{Op, Shape};
use models::params::ParamsError;
use models::preprocess::Batch;
use models::{Graph, Params};
use thiserror::Error;

pub use linear::LinearGradient;

/// Why a network does not run.
#[derive(Debug, Error)]
pub enum ExecError {
    /// A parameter is missing or has the wrong shape.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The input is not what the graph takes.
    #[error("the network takes {expected}, is given {found:?}")]
    Input {
        /// What the graph's input node says.
        expected: String,
        /// The tensor's shape, batch first.
        found: Vec<usize>,
    },
    /// The tensor library failed.
    #[error("tensor arithmetic failed")]
    Tensor(#[from] candle_core::Error),
}

/// A graph with its parameters as tensors, ready to run in evaluation mode: batch normalisation by its running
/// statistics, dropout the identity.
pub struct Executor<'g> {
    graph: &'g Graph,
    /// The parameters of each node, in the node's order.
    params: Vec<Vec<Tensor>>,
}

impl<'g> Executor<'g> {
    /// Takes the parameters that the graph names.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first that is missing or misshapen.
    pub fn new(graph: &'g Graph, params: &Params) -> Result<Self, ExecError> {
        let params = params.select(graph)?;
        let tensor = |name: &String| -> Result<Tensor, ExecError> {
            let found = params.get(name).ok_or_else(|| ParamsError::Missing { name: name.clone() })?;
            Ok(Tensor::from_slice(found.data(), found.shape(), &Device::Cpu)?)
        };
        let nodes = graph.nodes().iter().map(|node| node.params.iter().map(tensor).collect());
        Ok(Self { graph, params: nodes.collect::<Result<_, _>>()? })
    }

    /// The output for a batch of prepared images.
    ///
    /// # Errors
    /// [`ExecError`] when the images are not of the size that the graph takes.
    pub fn forward_batch(&self, batch: &Batch) -> Result<models::Tensor, ExecError> {
        let output = self.forward(&Tensor::from_slice(batch.data(), &batch.shape(), &Device::Cpu)?)?;
        let shape = output.dims().to_vec();
        Ok(models::Tensor::new(shape, output.flatten_all()?.to_vec1()?))
    }

    /// The output for any input `[n, …]` of the graph's input shape.
    ///
    /// # Errors
    /// [`ExecError::Input`] for another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, ExecError> {
        let expected = self.graph.shape(self.graph.input());
        if input.dims().get(1..) != Some(expected.dims()) {
            return Err(ExecError::Input { expected: expected.to_string(), found: input.dims().to_vec() });
        }
        let mut pending = self.graph.uses();
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.nodes().len()];
        values[0] = Some(input.contiguous()?);
        for (id, node) in self.graph.iter().skip(1) {
            let inputs: Vec<Tensor> = node.inputs.iter().filter_map(|id| values[id.index()].clone()).collect();
            for input in &node.inputs {
                pending[input.index()] -= 1;
                if pending[input.index()] == 0 {
                    values[input.index()] = None;
                }
            }
            let output = forward(&node.op, &inputs, &self.params[id.index()], self.graph.shape(id))?;
            values[id.index()] = Some(output);
        }
        let output = values.swap_remove(self.graph.output().index());
        output.ok_or_else(|| ExecError::Tensor(candle_core::Error::Msg("the output was not computed".to_owned())))
    }
}

/// One node.
fn forward(op: &Op, inputs: &[Tensor], params: &[Tensor], shape: &Shape) -> Result<Tensor, ExecError> {
    let x = &inputs[0];
    Ok(match op {
        Op::Input(_) | Op::Dropout(_) => x.clone(),
        Op::Normalize(op) => arithmetic::normalize(op, x)?,
        Op::Scale(op) => arithmetic::scale(op, x, params)?,
        Op::Add(_) => arithmetic::add(inputs)?,
        Op::Mul(_) => arithmetic::mul(inputs)?,
        Op::Conv2d(op) => conv::forward(op, x, params, shape)?,
        Op::BatchNorm(op) => norm::forward_eval(op, x, params)?,
        Op::LocalResponseNorm(op) => norm::local_response(op, x, shape)?,
        Op::Relu(_) => activation::relu(x)?,
        Op::Activation(op) => activation::apply(*op, x)?,
        Op::Softmax(_) => activation::softmax(x)?,
        Op::MaxPool(op) => pool::max(op, x, shape)?,
        Op::AvgPool(op) => pool::average(op, x, shape)?,
        Op::AdaptiveAvgPool(op) => pool::adaptive_average(*op, x, shape)?,
        Op::GlobalAvgPool(_) => pool::global_average(x)?,
        Op::Concat(_) => structure::concat(inputs)?,
        Op::Flatten(_) => structure::flatten(x)?,
        Op::Reshape(_) => structure::reshape(x, shape)?,
        Op::Transpose(op) => structure::transpose(op, x)?,
        Op::Slice(op) => region::slice(op, x)?,
        Op::Pad(op) => region::pad(op, x, shape)?,
        Op::Linear(_) => linear::forward(x, params)?,
    })
}

/// Gives the numbers of a contiguous CPU tensor to a kernel.
fn with_data<R>(tensor: &Tensor, kernel: impl FnOnce(&[f32]) -> R) -> Result<R, candle_core::Error> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(data)), Some((start, end))) => Ok(kernel(&data[start..end])),
        _ => Err(candle_core::Error::Msg("a kernel wants contiguous f32 numbers on the CPU".to_owned())),
    }
}

/// A tensor of a function of each number.
fn map(x: &Tensor, function: impl Fn(f32) -> f32) -> Result<Tensor, candle_core::Error> {
    let y = with_data(x, |numbers| numbers.iter().map(|&number| function(number)).collect::<Vec<f32>>())?;
    Tensor::from_vec(y, x.dims(), &Device::Cpu)
}

/// A tensor of a kernel's output: the batch and the node's shape.
fn tensor(data: Vec<f32>, batch: usize, shape: &Shape) -> Result<Tensor, candle_core::Error> {
    let dims: Vec<usize> = std::iter::once(batch).chain(shape.dims().iter().copied()).collect();
    Tensor::from_vec(data, dims, &Device::Cpu)
}
