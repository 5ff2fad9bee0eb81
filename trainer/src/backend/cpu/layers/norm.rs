//! Normalization by the statistics of a batch, with the sum and the ReLU behind it, by neighbouring channels, and by the
//! length of a vector; that length.

use std::marker::PhantomData;

use models::ops::{BatchNorm, LocalResponseNorm};

use super::super::array::Array;
use super::super::gradients::GradientOf;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads, SavedForBackward};
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::Element;
use crate::backend::cpu::kernels::elementwise::relu_backward;
use crate::backend::cpu::kernels::epilogue::Epilogue;
use crate::backend::cpu::kernels::norm::{Moments, NormGradient, Normalization, Operands, ScaleShift};
use crate::backend::cpu::kernels::response::ResponseNorm;
use crate::backend::mode::Mode;
use crate::backend::weights::Weights;

pub(super) struct BatchNormLayer<T> {
    op: BatchNorm,
    /// γ, β, running mean and variance.
    param_ids: [usize; 4],
    /// A frozen one uses its running statistics in training too.
    trained: bool,
    epilogue: Epilogue,
    dtype: PhantomData<T>,
}

impl<T: Element> BatchNormLayer<T> {
    pub(super) fn new(op: &BatchNorm, spec: &LayerSpec<'_>) -> Self {
        let param_ids = std::array::from_fn(|index| spec.param_ids[index]);
        Self {
            op: op.clone(),
            param_ids,
            trained: spec.trained[..2].contains(&true),
            epilogue: spec.epilogue,
            dtype: PhantomData,
        }
    }

    fn scale_and_shift<'w>(&self, weights: &'w Weights) -> [&'w [f32]; 2] {
        [weights.get(self.param_ids[0]), weights.get(self.param_ids[1])]
    }

    fn running(&self, weights: &Weights) -> Moments {
        let numbers = |id: usize| weights.get(id).iter().map(|&number| f64::from(number)).collect();
        Moments { mean: numbers(self.param_ids[2]), variance: numbers(self.param_ids[3]), rows: 1 }
    }
}

impl<T: Element> Layer for BatchNormLayer<T> {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let x = inputs[0].as_slice::<T>();
        let batch = matches!(run.mode, Mode::Training { .. }) && self.trained;
        let moments = if batch { Moments::of(x, self.op.channels) } else { self.running(run.weights) };
        let [gamma, beta] = self.scale_and_shift(run.weights);
        let map = ScaleShift::normalizing(&moments, self.op.eps, gamma, beta);
        let mut y = run.pool.take_as::<T>(x.len())?;
        let residual = inputs.get(1).map(|residual| residual.as_slice());
        map.apply(Operands { x, residual, epilogue: self.epilogue }, y.as_mut_slice()?);
        let saved = if batch { SavedForBackward::Moments(moments) } else { SavedForBackward::Nothing };
        Ok(LayerOutput { output: y, saved })
    }

    fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: self.epilogue.has_relu() }
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        if self.epilogue.has_relu() {
            relu_backward(back.dy.as_mut_slice::<T>()?, back.output.as_slice());
        }
        if self.epilogue.has_add() {
            back.accumulate(1, back.dy.clone())?;
        }
        let eps = self.op.eps;
        let [gamma, _] = self.scale_and_shift(run.weights);
        match back.saved {
            SavedForBackward::Moments(moments) => {
                let norm = Normalization { moments, eps, gamma };
                let gradient = NormGradient::of(back.dy.as_slice::<T>(), back.inputs[0].as_slice(), &norm);
                for (id, gradient) in self.param_ids.into_iter().zip([&gradient.gamma, &gradient.beta]) {
                    back.gradients.put(run.pool, GradientOf { id, length: gradient.len() }, |out| {
                        out.copy_from_slice(gradient)
                    })?;
                }
                if back.needs_gradient[0] {
                    gradient.apply(back.dy.as_mut_slice::<T>()?, back.inputs[0].as_slice());
                    back.accumulate(0, back.dy.clone())?;
                }
            }
            SavedForBackward::Nothing if back.needs_gradient[0] => {
                let zeros = vec![0.0; self.op.channels];
                let map = ScaleShift::normalizing(&self.running(run.weights), eps, gamma, &zeros).without_shift();
                let mut dx = run.pool.take_as::<T>(back.dy.len())?;
                map.apply(Operands::plain(back.dy.as_slice::<T>()), dx.as_mut_slice()?);
                back.accumulate(0, dx)?;
            }
            SavedForBackward::Nothing => {}
        }
        Ok(())
    }

    fn statistics(&self, run: &PassContext<'_>, saved: &SavedForBackward) -> Vec<(usize, Vec<f32>)> {
        let SavedForBackward::Moments(moments) = saved else { return vec![] };
        let count = moments.rows as f64;
        // As PyTorch: the running variance is of a sample, whatever the batch was divided by.
        let unbiased = count / (count - 1.0).max(1.0);
        let share = f64::from(self.op.momentum);
        let blend = |id: usize, new: &[f64], factor: f64| {
            let old = run.weights.get(id).iter();
            let blended =
                old.zip(new).map(|(&old, new)| ((1.0 - share) * f64::from(old) + share * factor * new) as f32);
            (id, blended.collect())
        };
        vec![blend(self.param_ids[2], &moments.mean, 1.0), blend(self.param_ids[3], &moments.variance, unbiased)]
    }
}

pub(super) struct LocalResponseNormLayer {
    pub(super) op: LocalResponseNorm,
    pub(super) channels: usize,
}

impl LocalResponseNormLayer {
    fn kernel(&self) -> ResponseNorm<'_> {
        ResponseNorm { op: &self.op, channels: self.channels }
    }
}

impl Layer for LocalResponseNormLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let x = inputs[0].numbers();
        let mut y = run.pool.take(x.len())?;
        self.kernel().forward(x, y.numbers_mut()?);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let mut dx = run.pool.take(back.inputs[0].len())?;
        self.kernel().backward(back.inputs[0].numbers(), back.dy.numbers(), dx.numbers_mut()?);
        back.accumulate(0, dx)?;
        Ok(())
    }
}

pub(super) struct L2NormLayer {
    pub(super) width: usize,
}

impl L2NormLayer {
    /// One over the length of a vector; zero for one without any.
    fn scale(row: &[f32]) -> f32 {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 { 1.0 / length } else { 0.0 }
    }
}

impl Layer for L2NormLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.copy(inputs[0].numbers())?;
        for row in y.numbers_mut()?.chunks_exact_mut(self.width) {
            let scale = Self::scale(row);
            row.iter_mut().for_each(|y| *y *= scale);
        }
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::BOTH
    }

    /// What is along the vector changes its length alone, and so nothing behind it.
    fn backward(&self, _: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let rows =
            back.inputs[0].numbers().chunks_exact(self.width).zip(back.output.numbers().chunks_exact(self.width));
        for (dy, (x, y)) in back.dy.numbers_mut()?.chunks_exact_mut(self.width).zip(rows) {
            let scale = Self::scale(x);
            let along: f32 = dy.iter().zip(y).map(|(dy, y)| dy * y).sum();
            dy.iter_mut().zip(y).for_each(|(dy, y)| *dy = scale * (*dy - along * y));
        }
        back.accumulate(0, back.dy.clone())?;
        Ok(())
    }
}

pub(super) struct L2LengthLayer {
    pub(super) width: usize,
}

impl Layer for L2LengthLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let rows = inputs[0].numbers().chunks_exact(self.width);
        let mut y = run.pool.take(rows.len())?;
        y.numbers_mut()?.iter_mut().zip(rows).for_each(|(y, x)| *y = x.iter().map(|x| x * x).sum::<f32>().sqrt());
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    /// A length grows along the vector; that of zeros, which has no derivative, is taken to stay.
    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let mut dx = run.pool.copy(back.inputs[0].numbers())?;
        for (dx, dy) in dx.numbers_mut()?.chunks_exact_mut(self.width).zip(back.dy.numbers()) {
            let factor = dy * L2NormLayer::scale(dx);
            dx.iter_mut().for_each(|x| *x *= factor);
        }
        back.accumulate(0, dx)
    }
}
