//! Convolution by oneDNN, with the ReLU behind it.

use std::marker::PhantomData;
use std::sync::Arc;

use models::ops::Conv2d;

use super::super::array::Array;
use super::super::layer::{Back, Layer, Made, Reads, Run};
use super::Site;
use super::conv::{Plans, geometry};
use crate::backend::kernels::conv::Geometry;
use crate::backend::kernels::element::Element;
use crate::backend::kernels::elementwise::relu_backward;
use crate::backend::kernels::norm::Then;
use crate::backend::onednn::{self, Convolution, OneDnn, OneDnnError};

/// Of images in one format. What the library refuses is noted there, and the output is then whatever it was.
pub(super) struct Convolved<T> {
    library: OneDnn,
    geometry: Geometry,
    weight: usize,
    bias: Option<usize>,
    trained: bool,
    then: Then,
    plans: Plans<Convolution>,
    format: PhantomData<T>,
}

impl<T: Element> Convolved<T> {
    pub(super) fn new(library: &OneDnn, op: &Conv2d, site: &Site<'_>) -> Self {
        Self {
            library: library.clone(),
            geometry: geometry(op, site),
            weight: site.places[0],
            bias: site.places.get(1).copied(),
            trained: site.trained[0],
            then: site.tail.then,
            plans: Plans::default(),
            format: PhantomData,
        }
    }

    fn plan(&self, batch: usize) -> Result<Arc<Convolution>, OneDnnError> {
        let Self { geometry, then, .. } = self;
        let site = onednn::Site { geometry, batch, format: T::FORMAT, then: *then };
        self.plans.get(batch, || Convolution::new(&self.library, &site))
    }

    /// The gradients of weights and bias.
    fn backward_parameters(&self, run: &Run<'_>, back: &mut Back<'_>, plan: &Convolution) -> Result<(), OneDnnError> {
        let weight = back.gradients.wants(self.weight).then_some(self.weight);
        let bias = self.bias.filter(|&bias| back.gradients.wants(bias));
        if weight.is_none() && bias.is_none() {
            return Ok(());
        }
        let mut dw = run.pool.take(run.weights.get(self.weight).len());
        let mut db = run.pool.take(self.bias.map_or(0, |bias| run.weights.get(bias).len()));
        let images = [back.inputs[0].of::<T>(), back.dy.of::<T>()];
        plan.backward_weight(images, dw.numbers_mut(), db.numbers_mut())?;
        for (place, found) in [(weight, dw), (bias, db)] {
            if let Some(place) = place {
                back.gradients.put_array(place, found);
            }
        }
        Ok(())
    }
}

impl<T: Element> Layer for Convolved<T> {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.take_as::<T>(run.batch * self.geometry.outputs());
        let weights = (run.weights.get(self.weight), self.bias.map(|bias| run.weights.get(bias)));
        let plan = self.plan(run.batch);
        self.library.note(plan.and_then(|plan| plan.forward(inputs[0].of::<T>(), weights, y.of_mut::<T>())));
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: self.then == Then::Relu }
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        if self.then == Then::Relu {
            relu_backward(back.dy.of_mut::<T>(), back.output.of::<T>());
        }
        let plan = match self.plan(run.batch) {
            Ok(plan) => plan,
            Err(error) => return self.library.note(Err(error)),
        };
        self.library.note(self.backward_parameters(run, back, &plan));
        if back.wanted[0] {
            let mut dx = run.pool.take_as::<T>(run.batch * self.geometry.inputs());
            let weight = run.weights.get(self.weight);
            self.library.note(plan.backward_input(back.dy.of::<T>(), weight, dx.of_mut::<T>()));
            back.give(0, dx);
        }
    }
}
