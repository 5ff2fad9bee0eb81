//! Pooling.

use candle_core::{Result, Tensor};
use models::ops::{AdaptiveAvgPool, AvgPool, MaxPool};

use super::super::gather::{Gather, Table};
use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::tensors::{keep_where, pixels, upload};
use super::LayerSpec;
use crate::backend::cpu::kernels::pool::{Count, Windows};

/// Height and width.
fn size(dims: &[usize]) -> [usize; 2] {
    [dims[1], dims[2]]
}

/// The pixels of each window, and where each pixel is among them.
struct Pooling {
    windows: Gather,
    pixels: Gather,
    /// Height and width of the output.
    output: [usize; 2],
}

impl Pooling {
    fn new(windows: &Windows, spec: &LayerSpec<'_>) -> Result<Self> {
        let places: Vec<Vec<usize>> = windows.windows().map(|(_, pixels)| pixels.collect()).collect();
        let [height, width] = size(spec.input().dims());
        let table = Table::ragged(&places);
        Ok(Self {
            windows: Gather::new(&table, height * width, spec.device)?,
            pixels: Gather::new(&table.inverted(height * width), table.rows.len(), spec.device)?,
            output: size(spec.output.dims()),
        })
    }

    /// `[n, windows, c]` as an image.
    fn image(&self, y: &Tensor) -> Result<Tensor> {
        let (n, _, channels) = y.dims3()?;
        y.reshape((n, self.output[0], self.output[1], channels))
    }
}

/// The largest number of each window; padding is never the largest.
pub(super) struct MaxPoolLayer(Pooling);

impl MaxPoolLayer {
    pub(super) fn new(op: &MaxPool, spec: &LayerSpec<'_>) -> Result<Self> {
        let windows = Windows::sliding(&op.0, size(spec.input().dims()), size(spec.output.dims()), 1);
        Ok(Self(Pooling::new(&windows, spec)?))
    }
}

impl Layer for MaxPoolLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let taken = self.0.windows.take(&pixels(inputs[0])?, f32::NEG_INFINITY)?;
        let y = taken.max(2)?;
        Ok(Forward::from(self.0.image(&y)?).saving(vec![inputs[0].clone(), y]))
    }

    /// All of the gradient goes to the first of the largest, as in PyTorch. candle's index of the largest is not the first's on
    /// every device.
    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let [x, y] = [&back.saved[0], &back.saved[1]];
        let taken = self.0.windows.take(&pixels(x)?, f32::NEG_INFINITY)?;
        let mut open = pixels(&back.dy)?;
        let mut shares = vec![];
        for tap in 0..taken.dim(2)? {
            let is_largest = taken.narrow(2, tap, 1)?.squeeze(2)?.contiguous()?.eq(y)?;
            shares.push(keep_where(&is_largest, &open)?);
            open = is_largest.where_cond(&open.zeros_like()?, &open)?;
        }
        let (n, windows, channels) = y.dims3()?;
        let shares = Tensor::stack(&shares, 2)?.reshape((n, windows * shares.len(), channels))?;
        let dx = self.0.pixels.sum(&shares)?.reshape(x.dims())?;
        back.accumulate(0, dx)
    }
}

/// The mean of each window.
pub(super) struct AvgPoolLayer {
    pooling: Pooling,
    /// `[windows, 1]`: one over what each is divided by.
    factors: Tensor,
    /// Height and width of the input.
    input: [usize; 2],
}

impl AvgPoolLayer {
    /// Over the window's numbers or, if padding counts, over its area within the padded image.
    pub(super) fn sliding(op: &AvgPool, spec: &LayerSpec<'_>) -> Result<Self> {
        let windows = Windows::sliding(&op.window, size(spec.input().dims()), size(spec.output.dims()), 1);
        Self::new(&windows, if op.count_padding { Count::Padding } else { Count::Image }, spec)
    }

    pub(super) fn adaptive(op: AdaptiveAvgPool, spec: &LayerSpec<'_>) -> Result<Self> {
        Self::new(&Windows::adaptive(op, size(spec.input().dims()), 1), Count::Image, spec)
    }

    fn new(windows: &Windows, count: Count, spec: &LayerSpec<'_>) -> Result<Self> {
        let pooling = Pooling::new(windows, spec)?;
        let factor = |at: usize| 1.0 / windows.count(count, [at / pooling.output[1], at % pooling.output[1]]);
        let factors: Vec<f32> = (0..windows.outputs()).map(factor).collect();
        let factors = upload(&factors, &[factors.len(), 1], spec.device)?;
        Ok(Self { pooling, factors, input: size(spec.input().dims()) })
    }
}

impl Layer for AvgPoolLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let y = self.pooling.windows.sum(&pixels(inputs[0])?)?.broadcast_mul(&self.factors)?;
        Ok(self.pooling.image(&y)?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let shares = pixels(&back.dy)?.broadcast_mul(&self.factors)?;
        let (n, windows, channels) = shares.dims3()?;
        let taps = self.pooling.windows.length() / windows;
        let shares = shares.unsqueeze(2)?.broadcast_as((n, windows, taps, channels))?.contiguous()?;
        let dx = self.pooling.pixels.sum(&shares.reshape((n, windows * taps, channels))?)?;
        let dx = dx.reshape((n, self.input[0], self.input[1], channels))?;
        back.accumulate(0, dx)
    }
}

/// The mean over the whole image.
pub(super) struct GlobalAvgPoolLayer {
    /// Height and width of the input.
    input: [usize; 2],
}

impl GlobalAvgPoolLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        Self { input: size(spec.input().dims()) }
    }
}

impl Layer for GlobalAvgPoolLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let (n, _, _, channels) = inputs[0].dims4()?;
        Ok(pixels(inputs[0])?.mean(1)?.reshape((n, 1, 1, channels))?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let [height, width] = self.input;
        let (n, _, _, channels) = back.dy.dims4()?;
        let share = (&back.dy / (height * width) as f64)?;
        let dx = share.broadcast_as((n, height, width, channels))?.contiguous()?;
        back.accumulate(0, dx)
    }
}
