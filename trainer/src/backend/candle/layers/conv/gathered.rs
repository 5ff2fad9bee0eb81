//! Convolution by operations that candle has on every device.
//!
//! Forwards by candle's convolution where that can express it. Everything else gathers the pixels that meet a pixel by a
//! window's taps into a row, so that output, gradient of the weights and gradient of the input are each a product of matrices:
//! one for each group.

use candle_core::{Device, Result, Tensor};
use models::ops::{Conv2d, Padding};

use crate::backend::candle::gather::{Gather, Table};
use crate::backend::candle::layer::add_to;
use crate::backend::candle::tensors::{channel_sums, pixels};
use crate::backend::cpu::kernels::conv::{Axis, Geometry};

/// Numbers that are gathered at a time, 256 MiB: images beyond them wait their turn.
const GATHERED: usize = 64 << 20;

pub(super) struct GatheredConv {
    geometry: Geometry,
    /// For each pixel of the output those of the input that it meets.
    sources: Gather,
    /// For each pixel of the input those of the output that it meets.
    targets: Gather,
}

impl GatheredConv {
    pub(super) fn new(geometry: Geometry, device: &Device) -> Result<Self> {
        let [input, output] = [geometry.input, geometry.output];
        let [sources, targets] = [table(&geometry.forward(), input[1]), table(&geometry.adjoint(), output[1])];
        Ok(Self {
            sources: Gather::new(&sources, input[0] * input[1], device)?,
            targets: Gather::new(&targets, output[0] * output[1], device)?,
            geometry,
        })
    }

    /// `[n, pixels, out]`.
    pub(super) fn forward(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        if self.is_plain() {
            return self.plain(x, weight);
        }
        let numbers = self.sources.length() * self.geometry.conv.in_channels;
        in_parts(&pixels(x)?, numbers, |x| self.product(&self.sources.take(x, 0.0)?, weight))
    }

    /// `[n, pixels, in]`.
    pub(super) fn input_gradient(&self, dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let numbers = self.targets.length() * self.geometry.conv.out_channels;
        in_parts(&pixels(dy)?, numbers, |dy| self.adjoint(&self.targets.take(dy, 0.0)?, weight))
    }

    /// In the shape of the weights.
    pub(super) fn weight_gradient(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (x, dy) = (pixels(x)?, pixels(dy)?);
        let mut sum = None;
        for (first, count) in parts(x.dim(0)?, self.sources.length() * self.geometry.conv.in_channels) {
            let gathered = self.sources.take(&x.narrow(0, first, count)?, 0.0)?;
            add_to(&mut sum, self.weight_product(&gathered, &dy.narrow(0, first, count)?)?)?;
        }
        sum.ok_or(candle_core::Error::UnwrapNone)
    }

    /// The step and the spacing of taps, where they are alike in both directions: what candle's convolution can express.
    fn is_plain(&self) -> bool {
        let Conv2d { stride, dilation, groups, .. } = self.geometry.conv;
        groups == 1 && stride[0] == stride[1] && dilation[0] == dilation[1]
    }

    fn is_depthwise(&self) -> bool {
        self.geometry.conv.groups > 1 && self.geometry.group_in() == 1 && self.geometry.group_out() == 1
    }

    /// `[n, pixels, out]` by candle's convolution.
    fn plain(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Conv2d { stride, dilation, padding, .. } = self.geometry.conv;
        let Padding { top, left, bottom, right } = padding;
        let even = [left, bottom, right].iter().all(|&side| side == top);
        let padded = match even {
            true => x.clone(),
            false => x.pad_with_zeros(1, top, bottom)?.pad_with_zeros(2, left, right)?,
        };
        let kernel = weight.permute((3, 2, 0, 1))?.contiguous()?;
        let padding = if even { top } else { 0 };
        let y = padded.permute((0, 3, 1, 2))?.contiguous()?.conv2d(&kernel, padding, stride[0], dilation[0], 1)?;
        pixels(&y.permute((0, 2, 3, 1))?.contiguous()?)
    }

    /// `[n, places, taps, channels]` as `[groups, n·places, taps·channels/groups]`.
    fn by_group(&self, gathered: &Tensor) -> Result<Tensor> {
        let (n, places, taps, channels) = gathered.dims4()?;
        let groups = self.geometry.conv.groups;
        let split = gathered.reshape((n * places, taps, groups, channels / groups))?;
        split.permute((2, 0, 1, 3))?.contiguous()?.reshape((groups, n * places, taps * (channels / groups)))
    }

    /// `[groups, rows, channels/groups]` as `[n, pixels, channels]`.
    fn together(&self, grouped: &Tensor, n: usize) -> Result<Tensor> {
        let (groups, all, channels) = grouped.dims3()?;
        grouped.permute((1, 0, 2))?.contiguous()?.reshape((n, all / n, groups * channels))
    }

    /// `[taps, in / groups, groups, out / groups]`.
    fn split(&self, weight: &Tensor) -> Result<Tensor> {
        let Geometry { conv, .. } = &self.geometry;
        weight.reshape((self.geometry.taps(), self.geometry.group_in(), conv.groups, self.geometry.group_out()))
    }

    /// `[n, pixels, out]` for gathered pixels of the input.
    fn product(&self, gathered: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (n, places, taps, channels) = gathered.dims4()?;
        if self.is_depthwise() {
            let products = gathered.broadcast_mul(&weight.reshape((taps, channels))?)?;
            return products.sum(2)?.reshape((n, places, channels));
        }
        let (taps, from, groups, to) = self.split(weight)?.dims4()?;
        let weight = self.split(weight)?.permute((2, 0, 1, 3))?.contiguous()?.reshape((groups, taps * from, to))?;
        self.together(&self.by_group(gathered)?.matmul(&weight)?, n)
    }

    /// `[n, pixels, in]` for gathered gradients of the output.
    fn adjoint(&self, gathered: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (n, places, taps, channels) = gathered.dims4()?;
        if self.is_depthwise() {
            let products = gathered.broadcast_mul(&weight.reshape((taps, channels))?)?;
            return products.sum(2)?.reshape((n, places, channels));
        }
        let (taps, from, groups, to) = self.split(weight)?.dims4()?;
        let weight = self.split(weight)?.permute((2, 0, 3, 1))?.contiguous()?.reshape((groups, taps * to, from))?;
        self.together(&self.by_group(gathered)?.matmul(&weight)?, n)
    }

    /// The gradient of the weights, in their shape, for gathered pixels of the input and the gradient `[n, pixels, out]`.
    fn weight_product(&self, gathered: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (n, places, taps, channels) = gathered.dims4()?;
        let Conv2d { kernel: [height, width], out_channels, .. } = self.geometry.conv;
        let shape = (height, width, self.geometry.group_in(), out_channels);
        if self.is_depthwise() {
            let products = gathered.broadcast_mul(&dy.unsqueeze(2)?)?;
            return channel_sums(&products.reshape((n * places, taps * channels))?)?.reshape(shape);
        }
        let dy = self.by_group(&dy.unsqueeze(2)?)?;
        let grouped = self.by_group(gathered)?.transpose(1, 2)?.matmul(&dy)?;
        grouped.permute((1, 0, 2))?.contiguous()?.reshape(shape)
    }
}

/// Which pixels of the source each of the destination meets by each tap.
fn table([rows, columns]: &[Axis; 2], width: usize) -> Table {
    let taps = rows.taps * columns.taps;
    let meets = |at: usize| {
        let (place, tap) = (at / taps, at % taps);
        let row = rows.source(place / columns.len(), tap / columns.taps)?;
        let column = columns.source(place % columns.len(), tap % columns.taps)?;
        Some(row * width + column)
    };
    Table { rows: (0..rows.len() * columns.len() * taps).map(meets).collect(), taps }
}

/// Parts of a batch whose gathered pixels fit: the first image of each, and how many it has.
fn parts(n: usize, numbers: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = (GATHERED / numbers.max(1)).clamp(1, n.max(1));
    (0..n).step_by(most).map(move |first| (first, most.min(n - first)))
}

/// `f` of parts of a batch, one after another.
fn in_parts(x: &Tensor, numbers: usize, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let done = parts(x.dim(0)?, numbers).map(|(first, count)| f(&x.narrow(0, first, count)?));
    match &done.collect::<Result<Vec<_>>>()?[..] {
        [one] => Ok(one.clone()),
        several => Tensor::cat(several, 0),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn images_that_do_not_fit_at_once_wait_their_turn() {
        assert_eq!(parts(5, GATHERED / 2).collect::<Vec<_>>(), [(0, 2), (2, 2), (4, 1)]);
        assert_eq!(parts(3, 1).collect::<Vec<_>>(), [(0, 3)]);
        assert_eq!(parts(2, 3 * GATHERED).collect::<Vec<_>>(), [(0, 1), (1, 1)]);
        let x = Tensor::arange(0.0_f32, 10.0, &Device::Cpu).unwrap().reshape((5, 2)).unwrap();
        let doubled = in_parts(&x, GATHERED / 2, |part| part * 2.0).unwrap();
        assert_eq!(doubled.to_vec2::<f32>().unwrap(), (x * 2.0).unwrap().to_vec2::<f32>().unwrap());
    }
}
