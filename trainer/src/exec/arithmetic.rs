//! Sums and products, of tensors and with numbers for each channel.

use candle_core::{Device, Result, Tensor};
use models::ops::{Normalize, Scale};
use rayon::prelude::*;

use super::with_data;

/// `scale · x + shift` for the numbers of one channel.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) scale: f32,
    pub(super) shift: f32,
}

/// The sum of tensors of one shape.
pub(super) fn add(inputs: &[Tensor]) -> Result<Tensor> {
    let mut sum = (&inputs[0] + &inputs[1])?;
    for input in &inputs[2..] {
        sum = (sum + input)?;
    }
    Ok(sum)
}

/// The product of two tensors of one shape, or of one with a number a channel.
pub(super) fn mul(inputs: &[Tensor]) -> Result<Tensor> {
    inputs[0].broadcast_mul(&inputs[1])
}

/// `weight·x + bias` per channel.
pub(super) fn scale(op: &Scale, x: &Tensor, params: &[Tensor]) -> Result<Tensor> {
    let (weight, bias) = match (op.weight, op.bias) {
        (true, true) => (Some(&params[0]), Some(&params[1])),
        (true, false) => (Some(&params[0]), None),
        (false, true) => (None, Some(&params[0])),
        (false, false) => (None, None),
    };
    let numbers = |param: Option<&Tensor>, default: f32| match param {
        Some(param) => with_data(param, <[f32]>::to_vec),
        None => Ok(vec![default; op.channels]),
    };
    let (weight, bias) = (numbers(weight, 1.0)?, numbers(bias, 0.0)?);
    let channels = weight.into_iter().zip(bias).map(|(scale, shift)| Affine { scale, shift });
    affine(x, &channels.collect::<Vec<_>>())
}

/// `(x - mean) / std` per channel, subtracting first as the exported file does.
pub(super) fn normalize(op: &Normalize, x: &Tensor) -> Result<Tensor> {
    let constant = |numbers: &[f32]| Tensor::from_slice(numbers, (1, numbers.len(), 1, 1), &Device::Cpu);
    x.broadcast_sub(&constant(&op.mean)?)?.broadcast_div(&constant(&op.std)?)
}

/// An affine map of each channel of `[n, c, …]`.
pub(super) fn affine(x: &Tensor, channels: &[Affine]) -> Result<Tensor> {
    let mut y = with_data(x, <[f32]>::to_vec)?;
    let map: usize = x.dims()[2..].iter().product();
    y.par_chunks_mut(map.max(1)).enumerate().for_each(|(index, map)| {
        let Affine { scale, shift } = channels[index % channels.len()];
        map.iter_mut().for_each(|number| *number = number.mul_add(scale, shift));
    });
    Tensor::from_vec(y, x.dims(), &Device::Cpu)
}
