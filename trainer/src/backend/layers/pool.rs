//! Pooling.

use std::marker::PhantomData;

use models::ops::{AdaptiveAvgPool, AvgPool, MaxPool};

use super::super::array::Array;
use super::super::layer::{Back, Layer, Made, Reads, Run};
use super::Site;
use crate::backend::kernels::element::Element;
use crate::backend::kernels::pool::{Count, Windows};

/// Channels, and height and width of input and output.
fn sizes(site: &Site<'_>) -> (usize, [[usize; 2]; 2]) {
    let size = |dims: &[usize]| [dims[1], dims[2]];
    (site.output.dims()[0], [size(site.inputs[0].dims()), size(site.output.dims())])
}

/// The largest number of each window; padding is never the largest.
pub(super) struct MaxPooled<T> {
    windows: Windows,
    output: usize,
    format: PhantomData<T>,
}

impl<T: Element> MaxPooled<T> {
    pub(super) fn new(op: &MaxPool, site: &Site<'_>) -> Self {
        let (channels, [input, output]) = sizes(site);
        Self {
            windows: Windows::sliding(&op.0, input, output, channels),
            output: site.output.len(),
            format: PhantomData,
        }
    }
}

impl<T: Element> Layer for MaxPooled<T> {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.take_as::<T>(run.batch * self.output);
        self.windows.max(inputs[0].of::<T>(), y.of_mut());
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::BOTH
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let mut dx = run.pool.take_as::<T>(back.inputs[0].len());
        self.windows.max_backward([back.inputs[0], back.output, &back.dy].map(Array::of::<T>), dx.of_mut());
        back.give(0, dx);
    }
}

/// The mean of each window.
pub(super) struct MeanPooled {
    windows: Windows,
    count: Count,
    input: usize,
    output: usize,
}

impl MeanPooled {
    /// Over the window's numbers or, if padding counts, over its area within the padded image.
    pub(super) fn sliding(op: &AvgPool, site: &Site<'_>) -> Self {
        let (channels, [input, output]) = sizes(site);
        let count = if op.count_padding { Count::Padding } else { Count::Image };
        Self { count, ..Self::new(Windows::sliding(&op.window, input, output, channels), site) }
    }

    pub(super) fn adaptive(op: AdaptiveAvgPool, site: &Site<'_>) -> Self {
        let (channels, [input, _]) = sizes(site);
        Self::new(Windows::adaptive(op, input, channels), site)
    }

    pub(super) fn global(site: &Site<'_>) -> Self {
        let (channels, [input, _]) = sizes(site);
        Self::new(Windows::global(input, channels), site)
    }

    fn new(windows: Windows, site: &Site<'_>) -> Self {
        Self { windows, count: Count::Image, input: site.inputs[0].len(), output: site.output.len() }
    }
}

impl Layer for MeanPooled {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.take(run.batch * self.output);
        self.windows.mean(inputs[0].numbers(), self.count, y.numbers_mut());
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let mut dx = run.pool.take(run.batch * self.input);
        self.windows.mean_backward(back.dy.numbers(), self.count, dx.numbers_mut());
        back.give(0, dx);
    }
}
