//! What several layers do with tensors.

use candle_core::{D, DType, Device, Result, Tensor};

/// Numbers put on a device.
pub(super) fn upload(numbers: &[f32], shape: &[usize], device: &Device) -> Result<Tensor> {
    Tensor::from_slice(numbers, shape, device)
}

/// Numbers taken from a device.
pub(super) fn download(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}

/// `[rows, channels]`: a row for each pixel of each image.
pub(super) fn rows(x: &Tensor) -> Result<Tensor> {
    let channels = x.dim(D::Minus1)?;
    x.reshape(((), channels))
}

/// `[n, pixels, channels]`.
pub(super) fn pixels(x: &Tensor) -> Result<Tensor> {
    let (n, channels) = (x.dim(0)?, x.dim(D::Minus1)?);
    x.reshape((n, (), channels))
}

/// `[channels]`: sums over all pixels of all images. A product of matrices adds in blocks, where candle's sums add one number
/// after another, which costs digits.
pub(super) fn channel_sums(x: &Tensor) -> Result<Tensor> {
    let rows = rows(x)?;
    Tensor::ones((1, rows.dim(0)?), DType::F32, x.device())?.matmul(&rows)?.squeeze(0)
}

/// `x` where the condition holds, and zero elsewhere.
pub(super) fn keep_where(condition: &Tensor, x: &Tensor) -> Result<Tensor> {
    condition.where_cond(x, &x.zeros_like()?)
}

/// `max(x, 0)`. candle's own makes zero of what is not a number, and a training that has failed must show it.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    x.lt(0f32)?.where_cond(&x.zeros_like()?, x)
}

/// The gradient through a ReLU whose output was `y`: zero where `y` is zero, as PyTorch's.
pub(super) fn relu_backward(dy: &Tensor, y: &Tensor) -> Result<Tensor> {
    keep_where(&y.gt(0f32)?, dy)
}

/// `[n, c, …]`, as the graph counts a tensor's numbers, from `[n, …, c]`.
pub(super) fn to_graph(x: &Tensor) -> Result<Tensor> {
    let rank = x.rank();
    if rank <= 2 {
        return Ok(x.clone());
    }
    let axes: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    x.permute(axes)?.contiguous()
}

/// `[n, …, c]` from `[n, c, …]`.
pub(super) fn to_memory(x: &Tensor) -> Result<Tensor> {
    let rank = x.rank();
    if rank <= 2 {
        return x.contiguous();
    }
    let axes: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
    x.permute(axes)?.contiguous()
}

/// The dimensions of a batch of tensors that have this shape in the graph.
pub(super) fn memory_dims(n: usize, shape: &[usize]) -> Vec<usize> {
    match shape {
        [] => vec![n],
        [channels, rest @ ..] => [n].iter().chain(rest).chain([channels]).copied().collect(),
    }
}

/// The sum of the squares of all numbers: in parts on the device, and over them in double precision.
pub(super) fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    let mut parts = vec![];
    for tensor in tensors {
        let numbers = tensor.flatten_all()?;
        let (count, whole) = (numbers.elem_count(), numbers.elem_count() / SUMMED * SUMMED);
        if whole > 0 {
            parts.push(numbers.narrow(0, 0, whole)?.reshape(((), SUMMED))?.sqr()?.sum(1)?);
        }
        if whole < count {
            parts.push(numbers.narrow(0, whole, count - whole)?.sqr()?.sum_keepdim(0)?);
        }
    }
    if parts.is_empty() {
        return Ok(0.0);
    }
    Ok(download(&Tensor::cat(&parts, 0)?)?.into_iter().map(f64::from).sum())
}

/// Numbers that are summed in single precision.
const SUMMED: usize = 1024;
