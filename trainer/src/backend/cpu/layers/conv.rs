//! Convolution, with the ReLU behind it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use models::ops::Conv2d;

use super::super::array::Array;
use super::super::gradients::GradientOf;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::conv::{Convolution, Filter, Geometry, SumStart};
use crate::backend::cpu::kernels::elementwise::{relu, relu_backward};
use crate::backend::cpu::kernels::epilogue::Epilogue;
use crate::backend::cpu::kernels::norm::column_sums;

/// The number of batch sizes with plans in memory: the usual one, and the last batch of an epoch.
const PLANS: usize = 2;

pub(super) struct ConvLayer {
    step: ConvStep,
    plans: Plans<Convolution>,
}

/// Plans by batch size, the newest first.
pub(super) struct Plans<P>(Mutex<Vec<(usize, Arc<P>)>>);

impl<P> Default for Plans<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P> Plans<P> {
    pub(super) fn get<E>(&self, batch: usize, make: impl FnOnce() -> Result<P, E>) -> Result<Arc<P>, E> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = plans.iter().find(|(size, _)| *size == batch) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(make()?);
        plans.insert(0, (batch, Arc::clone(&plan)));
        plans.truncate(PLANS);
        Ok(plan)
    }
}

/// A convolution of the graph, whichever kernels compute it.
pub(super) struct ConvStep {
    pub(super) geometry: Geometry,
    /// The id of the weights.
    pub(super) weight: usize,
    pub(super) bias: Option<usize>,
    pub(super) trained: bool,
    pub(super) epilogue: Epilogue,
}

impl ConvStep {
    pub(super) fn new(op: &Conv2d, spec: &LayerSpec<'_>) -> Self {
        let size = |dims: &[usize]| [dims[1], dims[2]];
        Self {
            geometry: Geometry {
                conv: op.clone(),
                input: size(spec.inputs[0].dims()),
                output: size(spec.output.dims()),
            },
            weight: spec.param_ids[0],
            bias: spec.param_ids.get(1).copied(),
            trained: spec.trained[0],
            epilogue: spec.epilogue,
        }
    }

    pub(super) fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: self.epilogue.has_relu() }
    }
}

impl ConvLayer {
    pub(super) fn new(op: &Conv2d, spec: &LayerSpec<'_>) -> Self {
        Self { step: ConvStep::new(op, spec), plans: Plans::default() }
    }

    fn plan(&self, batch: usize) -> Arc<Convolution> {
        let Ok(plan) = self.plans.get(batch, || Ok::<_, Infallible>(Convolution::new(&self.step.geometry, batch)));
        plan
    }
}

impl Layer for ConvLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take(run.batch * self.step.geometry.outputs())?;
        let start = self.step.bias.map_or(SumStart::Zero, |bias| SumStart::Bias(run.weights.get(bias)));
        let out = y.numbers_mut()?;
        let filter = Filter { weight: run.weights.get(self.step.weight), start };
        self.plan(run.batch).forward(inputs[0].numbers(), filter, out);
        if self.step.epilogue.has_relu() {
            relu(out);
        }
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        self.step.reads()
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        if self.step.epilogue.has_relu() {
            relu_backward(back.dy.numbers_mut()?, back.output.numbers());
        }
        let plan = self.plan(run.batch);
        let dy = back.dy.numbers();
        if let Some(bias) = self.step.bias.filter(|&bias| back.gradients.wants(bias)) {
            let sums = column_sums(dy, self.step.geometry.conv.out_channels);
            back.gradients.put(run.pool, GradientOf { id: bias, length: sums.len() }, |db| {
                db.iter_mut().zip(&sums).for_each(|(db, &sum)| *db = sum as f32);
            })?;
        }
        let weight = run.weights.get(self.step.weight);
        back.gradients.put(run.pool, GradientOf { id: self.step.weight, length: weight.len() }, |dw| {
            plan.backward_weight(back.inputs[0].numbers(), dy, dw)
        })?;
        if !back.needs_gradient[0] {
            return Ok(());
        }
        let dx = match back.input_gradients[0].take() {
            Some(mut dx) => {
                plan.backward_input(dy, Filter { weight, start: SumStart::Existing }, dx.numbers_mut()?);
                dx
            }
            None => {
                let mut dx = run.pool.take(run.batch * self.step.geometry.inputs())?;
                plan.backward_input(dy, Filter { weight, start: SumStart::Zero }, dx.numbers_mut()?);
                dx
            }
        };
        back.input_gradients[0] = Some(dx);
        Ok(())
    }
}
