//! The arithmetic of the optimizer's rules on a device: that of `optim::rule`, tensor by tensor.

use candle_core::{Result, Tensor};

use crate::optim::OptimizerKind;
use crate::optim::rule::Application;

/// What a step reads of a parameter.
#[derive(Clone, Copy)]
pub(super) struct ParamTensors<'a> {
    pub(super) weights: &'a Tensor,
    pub(super) gradient: &'a Tensor,
}

/// The weights after a step; the slots are changed in place.
pub(super) fn apply(
    rule: OptimizerKind,
    tensors: ParamTensors<'_>,
    slots: &mut [Tensor],
    now: Application,
) -> Result<Tensor> {
    let ParamTensors { weights, gradient } = tensors;
    let Application { rate, weight_decay, gradient_scale, count } = now;
    let scaled = || gradient * f64::from(gradient_scale);
    let decayed = || match weight_decay {
        0.0 => scaled(),
        decay => scaled()? + (weights * decay)?,
    };
    match (rule, slots) {
        (OptimizerKind::Sgd { momentum, nesterov }, [velocity]) => {
            let gradient = decayed()?;
            *velocity = ((&*velocity * momentum)? + &gradient)?;
            let step = if nesterov { (gradient + (&*velocity * momentum)?)? } else { velocity.clone() };
            weights - (step * rate)?
        }
        (OptimizerKind::RmsProp { rho, momentum, epsilon }, [rms, rest @ ..]) => {
            let gradient = decayed()?;
            *rms = (&*rms + ((gradient.sqr()? - &*rms)? * (1.0 - rho))?)?;
            let step = ((gradient * rate)? / (&*rms + epsilon)?.sqrt()?)?;
            match rest {
                [velocity] => {
                    *velocity = ((&*velocity * momentum)? + step)?;
                    weights - &*velocity
                }
                _ => weights - step,
            }
        }
        (OptimizerKind::AdamW { beta1, beta2, epsilon }, [mean, square]) => {
            let count = count as f64;
            let step = rate / (1.0 - beta1.powf(count));
            let root = (1.0 - beta2.powf(count)).sqrt();
            let gradient = scaled()?;
            *mean = (&*mean + ((&gradient - &*mean)? * (1.0 - beta1))?)?;
            *square = ((&*square * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let divisor = ((square.sqrt()? / root)? + epsilon)?;
            (weights * (1.0 - rate * weight_decay))? - ((&*mean * step)? / divisor)?
        }
        // Without momentum nothing is kept.
        _ => weights - (decayed()? * rate)?,
    }
}
