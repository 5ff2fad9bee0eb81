//! Pooling.

use std::marker::PhantomData;

use models::ops::{AdaptiveAvgPool, AvgPool, MaxPool};

use super::super::array::Array;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::Element;
use crate::backend::cpu::kernels::pool::{Count, MaxOperands, Windows};

/// Channels, and height and width of input and output.
fn sizes(spec: &LayerSpec<'_>) -> (usize, [[usize; 2]; 2]) {
    let size = |dims: &[usize]| [dims[1], dims[2]];
    (spec.output.dims()[0], [size(spec.inputs[0].dims()), size(spec.output.dims())])
}

/// The largest number of each window; padding is never the largest.
pub(super) struct MaxPoolLayer<T> {
    windows: Windows,
    output: usize,
    dtype: PhantomData<T>,
}

impl<T: Element> MaxPoolLayer<T> {
    pub(super) fn new(op: &MaxPool, spec: &LayerSpec<'_>) -> Self {
        let (channels, [input, output]) = sizes(spec);
        Self {
            windows: Windows::sliding(&op.0, input, output, channels),
            output: spec.output.len(),
            dtype: PhantomData,
        }
    }
}

impl<T: Element> Layer for MaxPoolLayer<T> {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take_as::<T>(run.batch * self.output)?;
        self.windows.max(inputs[0].as_slice::<T>(), y.as_mut_slice()?);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::BOTH
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let mut dx = run.pool.take_as::<T>(back.inputs[0].len())?;
        let [x, y, dy] = [back.inputs[0], back.output, &back.dy].map(Array::as_slice::<T>);
        self.windows.max_backward(MaxOperands { x, y, dy }, dx.as_mut_slice()?);
        back.accumulate(0, dx)?;
        Ok(())
    }
}

/// The mean of each window.
pub(super) struct AvgPoolLayer {
    windows: Windows,
    count: Count,
    input: usize,
    output: usize,
}

impl AvgPoolLayer {
    /// Over the window's numbers or, if padding counts, over its area within the padded image.
    pub(super) fn sliding(op: &AvgPool, spec: &LayerSpec<'_>) -> Self {
        let (channels, [input, output]) = sizes(spec);
        let count = if op.count_padding { Count::Padding } else { Count::Image };
        Self { count, ..Self::new(Windows::sliding(&op.window, input, output, channels), spec) }
    }

    pub(super) fn adaptive(op: AdaptiveAvgPool, spec: &LayerSpec<'_>) -> Self {
        let (channels, [input, _]) = sizes(spec);
        Self::new(Windows::adaptive(op, input, channels), spec)
    }

    pub(super) fn global(spec: &LayerSpec<'_>) -> Self {
        let (channels, [input, _]) = sizes(spec);
        Self::new(Windows::global(input, channels), spec)
    }

    fn new(windows: Windows, spec: &LayerSpec<'_>) -> Self {
        Self { windows, count: Count::Image, input: spec.inputs[0].len(), output: spec.output.len() }
    }
}

impl Layer for AvgPoolLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take(run.batch * self.output)?;
        self.windows.mean(inputs[0].numbers(), self.count, y.numbers_mut()?);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let mut dx = run.pool.take(run.batch * self.input)?;
        self.windows.mean_backward(back.dy.numbers(), self.count, dx.numbers_mut()?);
        back.accumulate(0, dx)?;
        Ok(())
    }
}
