//! Normalisation by the statistics of a batch, with the sum and the ReLU behind it, and by neighbouring channels.

use std::marker::PhantomData;

use models::ops::{BatchNorm, LocalResponseNorm};

use super::super::array::Array;
use super::super::layer::{Back, Layer, Made, Mode, Reads, Run, Saved};
use super::super::weights::Weights;
use super::{Site, Tail};
use crate::backend::kernels::element::Element;
use crate::backend::kernels::elementwise::relu_backward;
use crate::backend::kernels::norm::{Affine, Moments, NormGradient, Then};
use crate::backend::kernels::response;

pub(super) struct BatchNormed<T> {
    op: BatchNorm,
    /// γ, β, running mean and variance.
    places: [usize; 4],
    /// A frozen one stays as it is in evaluation.
    trained: bool,
    tail: Tail,
    format: PhantomData<T>,
}

impl<T: Element> BatchNormed<T> {
    pub(super) fn new(op: &BatchNorm, site: &Site<'_>) -> Self {
        let places = std::array::from_fn(|index| site.places[index]);
        Self {
            op: op.clone(),
            places,
            trained: site.trained[..2].contains(&true),
            tail: site.tail,
            format: PhantomData,
        }
    }

    fn scale_and_shift<'w>(&self, weights: &'w Weights) -> [&'w [f32]; 2] {
        [weights.get(self.places[0]), weights.get(self.places[1])]
    }

    fn running(&self, weights: &Weights) -> Moments {
        let numbers = |place: usize| weights.get(place).iter().map(|&number| f64::from(number)).collect();
        Moments { mean: numbers(self.places[2]), variance: numbers(self.places[3]), rows: 1 }
    }
}

impl<T: Element> Layer for BatchNormed<T> {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let x = inputs[0].of::<T>();
        let batch = matches!(run.mode, Mode::Training { .. }) && self.trained;
        let moments = if batch { Moments::of(x, self.op.channels) } else { self.running(run.weights) };
        let map = Affine::normalizing(&moments, self.op.eps, self.scale_and_shift(run.weights));
        let mut y = run.pool.take_as::<T>(x.len());
        map.apply(x, inputs.get(1).map(|other| other.of()), self.tail.then, y.of_mut());
        Made { output: y, saved: if batch { Saved::Moments(moments) } else { Saved::Nothing } }
    }

    fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: self.tail.then == Then::Relu }
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        if self.tail.then == Then::Relu {
            relu_backward(back.dy.of_mut::<T>(), back.output.of());
        }
        if self.tail.sum {
            back.give(1, back.dy.clone());
        }
        let eps = self.op.eps;
        let [gamma, _] = self.scale_and_shift(run.weights);
        match back.saved {
            Saved::Moments(moments) => {
                let gradient = NormGradient::of(back.dy.of::<T>(), back.inputs[0].of(), moments, (eps, gamma));
                for (place, found) in self.places.into_iter().zip([&gradient.gamma, &gradient.beta]) {
                    back.gradients.put(run.pool, place, found.len(), |out| out.copy_from_slice(found));
                }
                if back.wanted[0] {
                    gradient.apply(back.dy.of_mut::<T>(), back.inputs[0].of());
                    back.give(0, back.dy.clone());
                }
            }
            Saved::Nothing if back.wanted[0] => {
                let zeros = vec![0.0; self.op.channels];
                let map = Affine::normalizing(&self.running(run.weights), eps, [gamma, &zeros]).without_shift();
                let mut dx = run.pool.take_as::<T>(back.dy.len());
                map.apply(back.dy.of::<T>(), None, Then::Nothing, dx.of_mut());
                back.give(0, dx);
            }
            Saved::Nothing => {}
        }
    }

    fn statistics(&self, run: &Run<'_>, saved: &Saved) -> Vec<(usize, Vec<f32>)> {
        let Saved::Moments(moments) = saved else { return vec![] };
        let count = moments.rows as f64;
        // As PyTorch: the running variance is of a sample, whatever the batch was divided by.
        let unbiased = count / (count - 1.0).max(1.0);
        let share = f64::from(self.op.momentum);
        let blend = |place: usize, new: &[f64], factor: f64| {
            let old = run.weights.get(place).iter();
            let blended =
                old.zip(new).map(|(&old, new)| ((1.0 - share) * f64::from(old) + share * factor * new) as f32);
            (place, blended.collect())
        };
        vec![blend(self.places[2], &moments.mean, 1.0), blend(self.places[3], &moments.variance, unbiased)]
    }
}

pub(super) struct ResponseNormed {
    pub(super) op: LocalResponseNorm,
    pub(super) channels: usize,
}

impl Layer for ResponseNormed {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let x = inputs[0].numbers();
        let mut y = run.pool.take(x.len());
        response::forward(&self.op, x, self.channels, y.numbers_mut());
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let mut dx = run.pool.take(back.inputs[0].len());
        response::backward(&self.op, [back.inputs[0].numbers(), back.dy.numbers()], self.channels, dx.numbers_mut());
        back.give(0, dx);
    }
}
