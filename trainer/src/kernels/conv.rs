//! Convolution as a matrix product over an unrolled image (im2col).

use models::ops::Conv2d;
use rayon::prelude::*;

use super::matmul::{Into, Matrix, matmul};

/// The geometry of one convolution.
#[derive(Clone, Copy)]
pub(crate) struct Geometry<'a> {
    pub(crate) conv: &'a Conv2d,
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
}

/// `y[n, out, oh, ow] = weight * x[n, in, h, w] + bias`. Images are computed in parallel, each in one thread and in a
/// fixed order, so the numbers do not depend on how many threads there are.
pub(crate) fn conv2d(geometry: Geometry<'_>, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let Geometry { conv, input, output } = geometry;
    let (image, pixels) = (conv.in_channels * input[0] * input[1], output[0] * output[1]);
    let (group_in, group_out) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let taps = group_in * conv.kernel[0] * conv.kernel[1];
    let mut y = vec![0.0; x.len() / image * conv.out_channels * pixels];
    y.par_chunks_mut(conv.out_channels * pixels).zip(x.par_chunks(image)).for_each_init(Vec::new, |columns, (y, x)| {
        for group in 0..conv.groups {
            let channels = &x[group * group_in * input[0] * input[1]..][..group_in * input[0] * input[1]];
            let unrolled = if conv.is_pointwise() {
                channels
            } else {
                columns.resize(taps * pixels, 0.0);
                unroll(geometry, channels, columns);
                columns.as_slice()
            };
            let weight = Matrix::new(&weight[group * group_out * taps..][..group_out * taps], group_out, taps);
            let y = &mut y[group * group_out * pixels..][..group_out * pixels];
            matmul(weight, Matrix::new(unrolled, taps, pixels), y, Into::Overwrite);
        }
        if let Some(bias) = bias {
            y.chunks_mut(pixels).zip(bias).for_each(|(map, bias)| map.iter_mut().for_each(|number| *number += bias));
        }
    });
    y
}

/// `columns[(channel, ky, kx), (oy, ox)]`: for each tap of the window, the input number it meets at each output pixel.
fn unroll(geometry: Geometry<'_>, channels: &[f32], columns: &mut [f32]) {
    let Geometry { conv, input: [height, width], output: [rows, row] } = geometry;
    let mut taps = columns.chunks_mut(rows * row);
    for map in channels.chunks(height * width) {
        for ky in 0..conv.kernel[0] {
            for kx in 0..conv.kernel[1] {
                let Some(tap) = taps.next() else { return };
                for (oy, out) in tap.chunks_mut(row).enumerate() {
                    let y = (oy * conv.stride[0] + ky * conv.dilation[0]).wrapping_sub(conv.padding.top);
                    match map.get(y.wrapping_mul(width)..).filter(|_| y < height) {
                        Some(line) => gather(conv, kx, &line[..width], out),
                        None => out.fill(0.0),
                    }
                }
            }
        }
    }
}

/// One line of the image as the tap `kx` meets it.
fn gather(conv: &Conv2d, kx: usize, line: &[f32], out: &mut [f32]) {
    let (shift, padding, stride) = (kx * conv.dilation[1], conv.padding.left, conv.stride[1]);
    for (ox, out) in out.iter_mut().enumerate() {
        let x = (ox * stride + shift).wrapping_sub(padding);
        *out = line.get(x).copied().unwrap_or(0.0);
    }
}
