//! Layers between neighbors of another dtype.

use half::bf16;

use super::super::array::{Array, Pool};
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads, SavedForBackward};
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::{DType, Element};
use crate::backend::cpu::kernels::elementwise::convert;

/// A layer that computes in one dtype, with casts of its inputs and its output.
pub(super) struct CastLayer {
    layer: Box<dyn Layer>,
    own: DType,
    inputs: Vec<DType>,
    output: DType,
}

/// The layer itself where the dtypes agree.
pub(super) fn cast(layer: Box<dyn Layer>, own: DType, spec: &LayerSpec<'_>) -> Box<dyn Layer> {
    let (inputs, output) = (spec.dtypes.clone(), spec.dtype);
    if output == own && inputs.iter().all(|&input| input == own) {
        return layer;
    }
    Box::new(CastLayer { layer, own, inputs, output })
}

impl Layer for CastLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let inputs = inputs.iter().map(|input| to(run.pool, input, self.own)).collect::<Result<Vec<_>, _>>()?;
        let LayerOutput { output, saved } = self.layer.forward(run, &inputs.iter().collect::<Vec<_>>())?;
        Ok(LayerOutput { output: to(run.pool, &output, self.output)?, saved })
    }

    fn reads(&self) -> Reads {
        self.layer.reads()
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let inputs = back.inputs.iter().map(|input| to(run.pool, input, self.own)).collect::<Result<Vec<_>, _>>()?;
        let output = to(run.pool, back.output, self.own)?;
        let mut inner = BackwardContext {
            dy: to(run.pool, &back.dy, self.own)?,
            inputs: inputs.iter().collect(),
            output: &output,
            saved: back.saved,
            input_gradients: vec![None; inputs.len()],
            needs_gradient: back.needs_gradient,
            gradients: &mut *back.gradients,
        };
        self.layer.backward(run, &mut inner)?;
        let input_gradients = inner.input_gradients;
        for (input, dx) in input_gradients.into_iter().enumerate() {
            if let Some(dx) = dx {
                back.accumulate(input, to(run.pool, &dx, self.inputs[input])?)?;
            }
        }
        Ok(())
    }

    fn statistics(&self, run: &PassContext<'_>, saved: &SavedForBackward) -> Vec<(usize, Vec<f32>)> {
        self.layer.statistics(run, saved)
    }
}

/// The array itself if it has this dtype already, a converted copy otherwise.
fn to(pool: &Pool, array: &Array, dtype: DType) -> Result<Array, ExecError> {
    match (array.dtype(), dtype) {
        (DType::F32, DType::Bf16) => converted::<f32, bf16>(pool, array),
        (DType::Bf16, DType::F32) => converted::<bf16, f32>(pool, array),
        _ => Ok(array.clone()),
    }
}

fn converted<A: Element, B: Element>(pool: &Pool, array: &Array) -> Result<Array, ExecError> {
    let mut target = pool.take_as::<B>(array.len())?;
    convert(array.as_slice::<A>(), target.as_mut_slice::<B>()?);
    Ok(target)
}
