//! The fully connected layer.

use models::ops::Linear;

use super::super::array::Array;
use super::super::gradients::GradientOf;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::matmul::{MatmulMode, Matrix, matmul};
use crate::backend::cpu::kernels::norm::column_sums;

/// `x · weightᵀ + bias`.
pub(super) struct LinearLayer {
    op: Linear,
    weight: usize,
    bias: Option<usize>,
    trained: bool,
}

impl LinearLayer {
    pub(super) fn new(op: &Linear, spec: &LayerSpec<'_>) -> Self {
        Self { op: *op, weight: spec.param_ids[0], bias: spec.param_ids.get(1).copied(), trained: spec.trained[0] }
    }

    fn weight<'w>(&self, run: &PassContext<'w>) -> Matrix<'w> {
        Matrix::new(run.weights.get(self.weight), self.op.out_features, self.op.in_features)
    }
}

impl Layer for LinearLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let (n, outputs) = (run.batch, self.op.out_features);
        let mut y = run.pool.take(n * outputs)?;
        let out = y.numbers_mut()?;
        match self.bias {
            Some(bias) => out.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(run.weights.get(bias))),
            None => out.fill(0.0),
        }
        let x = Matrix::new(inputs[0].numbers(), n, self.op.in_features);
        matmul(x, self.weight(run).transposed(), out, MatmulMode::Accumulate);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: false }
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let (n, Linear { in_features, out_features, .. }) = (run.batch, self.op);
        let dy = Matrix::new(back.dy.numbers(), n, out_features);
        if let Some(bias) = self.bias {
            let sums = column_sums(back.dy.numbers(), out_features);
            back.gradients.put(run.pool, GradientOf { id: bias, length: out_features }, |db| {
                db.iter_mut().zip(&sums).for_each(|(db, &sum)| *db = sum as f32);
            })?;
        }
        back.gradients.put(run.pool, GradientOf { id: self.weight, length: in_features * out_features }, |dw| {
            matmul(dy.transposed(), Matrix::new(back.inputs[0].numbers(), n, in_features), dw, MatmulMode::Overwrite);
        })?;
        if back.needs_gradient[0] {
            let mut dx = run.pool.take(n * in_features)?;
            matmul(dy, self.weight(run), dx.numbers_mut()?, MatmulMode::Overwrite);
            back.accumulate(0, dx)?;
        }
        Ok(())
    }
}
