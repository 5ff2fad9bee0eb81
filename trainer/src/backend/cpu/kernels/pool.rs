//! Pooling and its gradients on `[n, h, w, c]`. Not in `vectorized!`: inlined into it, windows of 64 channels took 1.7 times as long with AVX2 as
//! with what every processor has (the measure `pool` of the bench `baseline`; why is not known).

use std::ops::Range;

use models::ops::{AdaptiveAvgPool, Window};
use rayon::prelude::*;

use super::element::Element;

/// Windows of an image of one size.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    /// For each row and each column of the output the part of the input that it covers.
    axes: [Vec<Range<usize>>; 2],
    /// The same, with padding counted, in numbers.
    areas: [Vec<usize>; 2],
    input: [usize; 2],
    channels: usize,
}

impl Windows {
    /// Of windows that slide.
    pub(crate) fn sliding(window: &Window, [height, width]: [usize; 2], output: [usize; 2], channels: usize) -> Self {
        let axis = |axis: usize, size: usize, [before, after]: [usize; 2]| -> (Vec<_>, Vec<_>) {
            let all = (0..output[axis]).map(|index| {
                let first = index * window.stride[axis];
                let last = (first + window.kernel[axis]).min(size + before + after);
                let inside = |at: usize| at.saturating_sub(before).min(size);
                (inside(first)..inside(last), last - first)
            });
            all.unzip()
        };
        let rows = axis(0, height, [window.padding.top, window.padding.bottom]);
        let columns = axis(1, width, [window.padding.left, window.padding.right]);
        Self { axes: [rows.0, columns.0], areas: [rows.1, columns.1], input: [height, width], channels }
    }

    /// Of windows that divide the image into so many rows and columns.
    pub(crate) fn adaptive(op: AdaptiveAvgPool, input: [usize; 2], channels: usize) -> Self {
        let axes = [0, 1].map(|axis| {
            let count = op.output[axis];
            (0..count).map(|index| AdaptiveAvgPool::span(input[axis], count, index)).collect::<Vec<_>>()
        });
        let areas = [0, 1].map(|axis| axes[axis].iter().map(Range::len).collect());
        Self { axes, areas, input, channels }
    }

    /// One window over the whole image.
    pub(crate) fn global(input: [usize; 2], channels: usize) -> Self {
        Self::adaptive(AdaptiveAvgPool { output: [1, 1] }, input, channels)
    }

    /// The largest number of each window; if one is not a number, neither is the largest.
    pub(crate) fn max<T: Element>(&self, x: &[T], y: &mut [T]) {
        self.each_row(y, |image, row, y| {
            let x = self.image(x, image);
            self.each_window(row, y, |_, y, pixels| {
                y.fill(T::from_f32(f32::NEG_INFINITY));
                for pixel in pixels {
                    let x = &x[pixel * self.channels..][..self.channels];
                    y.iter_mut().zip(x).for_each(|(y, &x)| {
                        let number = x.to_f32();
                        *y = if number > y.to_f32() || number.is_nan() { x } else { *y };
                    });
                }
            });
        });
    }

    /// The gradient of [`Windows::max`]: all of it goes to the first of the largest, as in PyTorch.
    pub(crate) fn max_backward<T: Element>(&self, operands: MaxOperands<'_, T>, dx: &mut [T]) {
        let MaxOperands { x, y, dy } = operands;
        self.each_image(dx, |image, dx| {
            let x = self.image(x, image);
            let mut open = vec![0.0_f32; self.channels];
            for (at, pixels) in self.windows() {
                let at = (image * self.outputs() + at) * self.channels;
                let (y, dy) = (&y[at..at + self.channels], &dy[at..at + self.channels]);
                open.iter_mut().zip(dy).for_each(|(open, dy)| *open = dy.to_f32());
                for pixel in pixels {
                    let at = pixel * self.channels..(pixel + 1) * self.channels;
                    let numbers = dx[at.clone()].iter_mut().zip(&x[at]).zip(y).zip(&mut open);
                    for (((dx, x), y), open) in numbers {
                        let is_max = x.to_f32() == y.to_f32();
                        *dx = T::from_f32(dx.to_f32() + if is_max { *open } else { 0.0 });
                        *open = if is_max { 0.0 } else { *open };
                    }
                }
            }
        });
    }

    /// The mean of each window.
    pub(crate) fn mean(&self, x: &[f32], count: Count, y: &mut [f32]) {
        self.each_row(y, |image, row, y| {
            let x = self.image(x, image);
            self.each_window(row, y, |column, y, pixels| {
                y.fill(0.0);
                for pixel in pixels {
                    let x = &x[pixel * self.channels..][..self.channels];
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                }
                let count = self.count(count, [row, column]);
                y.iter_mut().for_each(|y| *y /= count);
            });
        });
    }

    /// The gradient of [`Windows::mean`].
    pub(crate) fn mean_backward(&self, dy: &[f32], count: Count, dx: &mut [f32]) {
        let columns = self.axes[1].len();
        self.each_image(dx, |image, dx| {
            for (at, pixels) in self.windows() {
                let factor = 1.0 / self.count(count, [at / columns, at % columns]);
                let dy = &dy[(image * self.outputs() + at) * self.channels..][..self.channels];
                for pixel in pixels {
                    let dx = &mut dx[pixel * self.channels..][..self.channels];
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy * factor);
                }
            }
        });
    }

    pub(crate) fn outputs(&self) -> usize {
        self.axes[0].len() * self.axes[1].len()
    }

    fn image<'x, T>(&self, x: &'x [T], image: usize) -> &'x [T] {
        let size = self.input[0] * self.input[1] * self.channels;
        &x[image * size..][..size]
    }

    pub(crate) fn count(&self, count: Count, [row, column]: [usize; 2]) -> f32 {
        let count = match count {
            Count::Image => self.axes[0][row].len() * self.axes[1][column].len(),
            Count::Padding => self.areas[0][row] * self.areas[1][column],
        };
        count as f32
    }

    /// The input pixels of a window.
    fn pixels(&self, row: usize, column: usize) -> impl Iterator<Item = usize> + use<'_> {
        let columns = self.axes[1][column].clone();
        self.axes[0][row].clone().flat_map(move |y| columns.clone().map(move |x| y * self.input[1] + x))
    }

    /// Every window of an image, by output pixel.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = usize> + use<'_>)> + use<'_> {
        let columns = self.axes[1].len();
        (0..self.outputs()).map(move |at| (at, self.pixels(at / columns, at % columns)))
    }

    /// Each row of the output of each image.
    fn each_row<T: Element>(&self, y: &mut [T], row: impl Fn(usize, usize, &mut [T]) + Sync) {
        let rows = self.axes[0].len();
        y.par_chunks_mut(self.axes[1].len() * self.channels).enumerate().for_each(|(index, y)| {
            row(index / rows, index % rows, y);
        });
    }

    /// Each window of a row.
    #[inline(always)]
    fn each_window<T, I>(&self, row: usize, y: &mut [T], mut window: I)
    where
        I: FnMut(usize, &mut [T], &mut dyn Iterator<Item = usize>),
    {
        for (column, y) in y.chunks_exact_mut(self.channels).enumerate() {
            window(column, y, &mut self.pixels(row, column));
        }
    }

    /// Each image's gradient, from zeros.
    fn each_image<T: Element>(&self, dx: &mut [T], image: impl Fn(usize, &mut [T]) + Sync) {
        dx.par_chunks_mut(self.input[0] * self.input[1] * self.channels).enumerate().for_each(|(index, dx)| {
            dx.fill(T::from_f32(0.0));
            image(index, dx);
        });
    }
}

/// What the gradient of a maximum is computed from.
#[derive(Clone, Copy)]
pub(crate) struct MaxOperands<'a, T> {
    /// The input.
    pub(crate) x: &'a [T],
    /// The output.
    pub(crate) y: &'a [T],
    /// The output's gradient.
    pub(crate) dy: &'a [T],
}

/// What a mean divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// The numbers of the image in the window.
    Image,
    /// Those in the padding too.
    Padding,
}
