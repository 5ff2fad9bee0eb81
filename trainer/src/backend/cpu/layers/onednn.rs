//! Convolution by oneDNN, with the ReLU behind it.

use std::marker::PhantomData;
use std::sync::Arc;

use models::ops::Conv2d;

use super::super::array::Array;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use super::LayerSpec;
use super::conv::{ConvStep, Plans};
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::Element;
use crate::backend::cpu::kernels::elementwise::relu_backward;
use crate::backend::onednn::{self, ConvGradients, ConvParams, Convolution, OneDnn, OneDnnError};

/// Convolution of images of one data type.
pub(super) struct OneDnnConvLayer<T> {
    library: OneDnn,
    step: ConvStep,
    plans: Plans<Convolution>,
    dtype: PhantomData<T>,
}

impl<T: Element> OneDnnConvLayer<T> {
    pub(super) fn new(library: &OneDnn, op: &Conv2d, spec: &LayerSpec<'_>) -> Self {
        Self { library: library.clone(), step: ConvStep::new(op, spec), plans: Plans::default(), dtype: PhantomData }
    }

    fn plan(&self, batch: usize) -> Result<Arc<Convolution>, OneDnnError> {
        let ConvStep { geometry, epilogue, .. } = &self.step;
        let spec = onednn::ConvSpec { geometry, batch, dtype: T::DTYPE, epilogue: *epilogue };
        self.plans.get(batch, || Convolution::new(&self.library, &spec))
    }

    /// The gradients of weights and bias.
    fn backward_parameters(
        &self,
        run: &PassContext<'_>,
        back: &mut BackwardContext<'_>,
        plan: &Convolution,
    ) -> Result<(), ExecError> {
        let weight = back.gradients.wants(self.step.weight).then_some(self.step.weight);
        let bias = self.step.bias.filter(|&bias| back.gradients.wants(bias));
        if weight.is_none() && bias.is_none() {
            return Ok(());
        }
        let mut dw = run.pool.take(run.weights.get(self.step.weight).len())?;
        let mut db = run.pool.take(self.step.bias.map_or(0, |bias| run.weights.get(bias).len()))?;
        let gradients = ConvGradients { weight: dw.numbers_mut()?, bias: db.numbers_mut()? };
        plan.backward_weight(back.inputs[0].as_slice::<T>(), back.dy.as_slice(), gradients)?;
        for (id, gradient) in [(weight, dw), (bias, db)] {
            if let Some(id) = id {
                back.gradients.put_array(id, gradient)?;
            }
        }
        Ok(())
    }
}

impl<T: Element> Layer for OneDnnConvLayer<T> {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take_as::<T>(run.batch * self.step.geometry.outputs())?;
        let bias = self.step.bias.map(|bias| run.weights.get(bias));
        let params = ConvParams { weight: run.weights.get(self.step.weight), bias };
        self.plan(run.batch)?.forward(inputs[0].as_slice::<T>(), params, y.as_mut_slice::<T>()?)?;
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        self.step.reads()
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        if self.step.epilogue.has_relu() {
            relu_backward(back.dy.as_mut_slice::<T>()?, back.output.as_slice::<T>());
        }
        let plan = self.plan(run.batch)?;
        self.backward_parameters(run, back, &plan)?;
        if back.needs_gradient[0] {
            let mut dx = run.pool.take_as::<T>(run.batch * self.step.geometry.inputs())?;
            let weight = run.weights.get(self.step.weight);
            plan.backward_input(back.dy.as_slice::<T>(), weight, dx.as_mut_slice::<T>()?)?;
            back.accumulate(0, dx)?;
        }
        Ok(())
    }
}
