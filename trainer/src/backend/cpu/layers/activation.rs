//! Functions applied to every number, the softmax over the classes, and dropout.

use std::marker::PhantomData;

use models::ops::Activation;

use super::super::array::Array;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::Element;
use crate::backend::cpu::kernels::elementwise::{combine, map, relu_backward};
use crate::backend::dropout::DropoutDraw;
use crate::backend::mode::Mode;

/// `max(x, 0)`.
#[derive(Default)]
pub(super) struct ReluLayer<T>(PhantomData<T>);

impl<T: Element> Layer for ReluLayer<T> {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take_as::<T>(inputs[0].len())?;
        map(inputs[0].as_slice::<T>(), y.as_mut_slice()?, |x| if x < 0.0 { 0.0 } else { x });
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::OUTPUT
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        relu_backward(back.dy.as_mut_slice::<T>()?, back.output.as_slice());
        back.accumulate(0, back.dy.clone())?;
        Ok(())
    }
}

/// Calls a kernel with a function whose kind stands in the function's code. Where it is a number that the function has captured,
/// it is chosen for every number anew, without vector instructions.
macro_rules! each_kind {
    ($function:expr, |$known:ident, $($argument:ident),+| $value:expr, |$made:ident| $call:expr) => {
        each_kind!(@match $function, ($known, $value, $made, $call), [$($argument),+], [LeakyRelu { alpha }, Clip { min, max },
            Sigmoid {}, HardSigmoid { alpha, beta }, HardSwish {}, Tanh {}, Elu { alpha }, Abs {}, Sign {}, Sqrt {},
            SignedSqrt {}])
    };
    (@match $function:expr, $parts:tt, $arguments:tt, [$($kind:ident $fields:tt),+]) => {
        match $function {
            $(Activation::$kind $fields => each_kind!(@arm $parts, $arguments, Activation::$kind $fields),)+
        }
    };
    (@arm ($known:ident, $value:expr, $made:ident, $call:expr), [$($argument:ident),+], $kind:expr) => {{
        let $made = move |$($argument: f32),+| {
            let $known = $kind;
            $value
        };
        $call
    }};
}

/// Any other function of one number.
pub(super) struct ActivationLayer(pub(super) Activation);

impl Layer for ActivationLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take(inputs[0].numbers().len())?;
        let (x, y_numbers) = (inputs[0].numbers(), y.numbers_mut()?);
        each_kind!(self.0, |function, x| value(function, x), |f| map(x, y_numbers, f));
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let mut dx = run.pool.take(back.inputs[0].len())?;
        let (dy, x, dx_numbers) = (back.dy.numbers(), back.inputs[0].numbers(), dx.numbers_mut()?);
        each_kind!(self.0, |function, dy, x| dy * slope(function, x), |f| combine(dy, x, dx_numbers, f));
        back.accumulate(0, dx)?;
        Ok(())
    }
}

#[inline(always)]
fn value(function: Activation, x: f32) -> f32 {
    match function {
        Activation::LeakyRelu { alpha } => {
            if x < 0.0 {
                alpha * x
            } else {
                x
            }
        }
        // Not `clamp`, which panics on limits in the wrong order; ONNX wants the upper one then.
        Activation::Clip { min, max } => x.max(min).min(max),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Tanh => x.tanh(),
        Activation::Elu { alpha } => {
            if x < 0.0 {
                alpha * x.exp_m1()
            } else {
                x
            }
        }
        Activation::Abs => x.abs(),
        Activation::Sign => sign(x),
        Activation::Sqrt => x.sqrt(),
        Activation::SignedSqrt => sign(x) * x.abs().sqrt(),
    }
}

/// ONNX's: zero for zero, where `f32::signum` has one.
#[inline(always)]
fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

#[inline(always)]
fn within(inside: bool, slope: f32) -> f32 {
    if inside { slope } else { 0.0 }
}

/// The derivative. At a corner it is PyTorch's: that of the negative side for `LeakyRelu` and `Elu`, that of the inside for
/// `Clip`, that of the outside for the hard functions, and zero for `Abs`. Roots are steeper towards zero without a limit;
/// at zero itself their derivative is taken for zero, since an infinite one would make every weight before it NaN.
#[inline(always)]
fn slope(function: Activation, x: f32) -> f32 {
    match function {
        Activation::LeakyRelu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                alpha
            }
        }
        Activation::Clip { min, max } => within(x >= min && x <= max, 1.0),
        Activation::Sigmoid => {
            let y = value(function, x);
            y * (1.0 - y)
        }
        Activation::HardSigmoid { alpha, beta } => {
            let y = alpha * x + beta;
            within(y > 0.0 && y < 1.0, alpha)
        }
        Activation::HardSwish => {
            if x <= -3.0 {
                0.0
            } else if x < 3.0 {
                x / 3.0 + 0.5
            } else {
                1.0
            }
        }
        Activation::Tanh => {
            let y = x.tanh();
            1.0 - y * y
        }
        Activation::Elu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                alpha * x.exp()
            }
        }
        Activation::Abs => sign(x),
        Activation::Sign => 0.0,
        Activation::Sqrt => within(x != 0.0, 0.5 / x.sqrt()),
        Activation::SignedSqrt => within(x != 0.0, 0.5 / x.abs().sqrt()),
    }
}

/// Over all numbers of an image.
pub(super) struct SoftmaxLayer;

impl Layer for SoftmaxLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.copy(inputs[0].numbers())?;
        let length = y.numbers().len() / run.batch;
        for row in y.numbers_mut()?.chunks_exact_mut(length) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|y| *y = (*y - most).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|y| *y /= sum);
        }
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::OUTPUT
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let length = back.output.numbers().len() / run.batch;
        let rows = back.dy.numbers_mut()?.chunks_exact_mut(length).zip(back.output.numbers().chunks_exact(length));
        for (dy, y) in rows {
            let mean: f32 = dy.iter().zip(y).map(|(dy, y)| dy * y).sum();
            dy.iter_mut().zip(y).for_each(|(dy, y)| *dy = y * (*dy - mean));
        }
        back.accumulate(0, back.dy.clone())?;
        Ok(())
    }
}

/// Drops numbers in training.
pub(super) struct DropoutLayer(pub(super) DropoutDraw);

impl Layer for DropoutLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = inputs[0].clone();
        if let Mode::Training { seed } = run.mode {
            self.0.apply(seed, y.numbers_mut()?);
        }
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        if let Mode::Training { seed } = run.mode {
            self.0.apply(seed, back.dy.numbers_mut()?);
        }
        back.accumulate(0, back.dy.clone())?;
        Ok(())
    }
}
