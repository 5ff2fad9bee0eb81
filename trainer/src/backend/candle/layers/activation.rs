//! Functions applied to every number, the softmax over the classes, and dropout.

use candle_core::{Result, Tensor};
use models::ops::Activation;

use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::tensors::{keep_where, relu, relu_backward, upload};
use crate::backend::dropout::DropoutDraw;
use crate::backend::mode::Mode;

/// `max(x, 0)`.
pub(super) struct ReluLayer;

impl Layer for ReluLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let y = relu(inputs[0])?;
        Ok(Forward::from(y.clone()).saving(vec![y]))
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let dx = relu_backward(&back.dy, &back.saved[0])?;
        back.accumulate(0, dx)
    }
}

/// Any other function of one number.
pub(super) struct ActivationLayer(pub(super) Activation);

impl Layer for ActivationLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        Ok(Forward::from(value(self.0, inputs[0])?).saving(vec![inputs[0].clone()]))
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let dx = (&back.dy * slope(self.0, &back.saved[0])?)?;
        back.accumulate(0, dx)
    }
}

fn value(function: Activation, x: &Tensor) -> Result<Tensor> {
    match function {
        Activation::LeakyRelu { alpha } => x.lt(0f32)?.where_cond(&(x * f64::from(alpha))?, x),
        Activation::Clip { min, max } => x.maximum(min)?.minimum(max),
        Activation::Sigmoid => (x.neg()?.exp()? + 1.0)?.recip(),
        Activation::HardSigmoid { alpha, beta } => x.affine(f64::from(alpha), f64::from(beta))?.clamp(0f32, 1f32),
        Activation::HardSwish => x * x.affine(1.0 / 6.0, 0.5)?.clamp(0f32, 1f32)?,
        Activation::Tanh => x.tanh(),
        Activation::Elu { alpha } => x.lt(0f32)?.where_cond(&((x.exp()? - 1.0)? * f64::from(alpha))?, x),
        Activation::Abs => x.abs(),
        Activation::Sign => x.sign(),
        Activation::Sqrt => x.sqrt(),
        Activation::SignedSqrt => x.sign()? * x.abs()?.sqrt()?,
    }
}

/// The derivative; at corners that of the CPU backend.
fn slope(function: Activation, x: &Tensor) -> Result<Tensor> {
    let ones = || x.ones_like();
    match function {
        Activation::LeakyRelu { alpha } => x.gt(0f32)?.where_cond(&ones()?, &(ones()? * f64::from(alpha))?),
        Activation::Clip { min, max } => keep_where(&x.ge(min)?, &keep_where(&x.le(max)?, &ones()?)?),
        Activation::Sigmoid => {
            let y = value(function, x)?;
            &y * y.affine(-1.0, 1.0)?
        }
        Activation::HardSigmoid { alpha, beta } => {
            let y = x.affine(f64::from(alpha), f64::from(beta))?;
            keep_where(&y.gt(0f32)?, &keep_where(&y.lt(1f32)?, &(ones()? * f64::from(alpha))?)?)
        }
        Activation::HardSwish => {
            let inside = x.lt(3f32)?.where_cond(&x.affine(1.0 / 3.0, 0.5)?, &ones()?)?;
            keep_where(&x.gt(-3f32)?, &inside)
        }
        Activation::Tanh => x.tanh()?.sqr()?.affine(-1.0, 1.0),
        Activation::Elu { alpha } => x.gt(0f32)?.where_cond(&ones()?, &(x.exp()? * f64::from(alpha))?),
        Activation::Abs => x.sign(),
        Activation::Sign => x.zeros_like(),
        Activation::Sqrt => keep_where(&x.ne(0f32)?, &(x.sqrt()?.recip()? * 0.5)?),
        Activation::SignedSqrt => keep_where(&x.ne(0f32)?, &(x.abs()?.sqrt()?.recip()? * 0.5)?),
    }
}

/// Over all numbers of an image.
pub(super) struct SoftmaxLayer;

impl Layer for SoftmaxLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let rows = inputs[0].flatten_from(1)?;
        let powers = rows.broadcast_sub(&rows.max_keepdim(1)?)?.exp()?;
        let y = powers.broadcast_div(&powers.sum_keepdim(1)?)?;
        Ok(Forward::from(y.reshape(inputs[0].dims())?).saving(vec![y]))
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let (y, dy) = (&back.saved[0], back.dy.flatten_from(1)?);
        let mean = (&dy * y)?.sum_keepdim(1)?;
        let dx = (y * dy.broadcast_sub(&mean)?)?.reshape(back.dy.dims())?;
        back.accumulate(0, dx)
    }
}

/// Drops numbers in training: those that the CPU backend drops for the same seed.
pub(super) struct DropoutLayer(pub(super) DropoutDraw);

impl Layer for DropoutLayer {
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let Mode::Training { seed } = pass.mode else { return Ok(inputs[0].clone().into()) };
        let mut factors = vec![1.0; inputs[0].elem_count()];
        self.0.apply(seed, &mut factors);
        let factors = upload(&factors, inputs[0].dims(), inputs[0].device())?;
        Ok(Forward::from((inputs[0] * &factors)?).saving(vec![factors]))
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let dx = match back.saved.first() {
            Some(factors) => (&back.dy * factors)?,
            None => back.dy.clone(),
        };
        back.accumulate(0, dx)
    }
}
