//! Layers among neighbours that keep their numbers in another format.

use half::bf16;

use super::super::array::{Array, Pool};
use super::super::layer::{Back, Layer, Made, Reads, Run, Saved};
use super::Site;
use crate::backend::kernels::element::{Element, Format};
use crate::backend::kernels::elementwise::convert;

/// A layer that takes and makes one format, with its arrays turned into it and from it.
pub(super) struct Adapted {
    layer: Box<dyn Layer>,
    own: Format,
    inputs: Vec<Format>,
    output: Format,
}

/// The layer itself where the formats agree.
pub(super) fn adapted(layer: Box<dyn Layer>, own: Format, site: &Site<'_>) -> Box<dyn Layer> {
    let (inputs, output) = (site.formats.clone(), site.format);
    if output == own && inputs.iter().all(|&input| input == own) {
        return layer;
    }
    Box::new(Adapted { layer, own, inputs, output })
}

impl Layer for Adapted {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let inputs: Vec<Array> = inputs.iter().map(|input| to(run.pool, input, self.own)).collect();
        let Made { output, saved } = self.layer.forward(run, &inputs.iter().collect::<Vec<_>>());
        Made { output: to(run.pool, &output, self.output), saved }
    }

    fn reads(&self) -> Reads {
        self.layer.reads()
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let inputs: Vec<Array> = back.inputs.iter().map(|input| to(run.pool, input, self.own)).collect();
        let output = to(run.pool, back.output, self.own);
        let mut inner = Back {
            dy: to(run.pool, &back.dy, self.own),
            inputs: inputs.iter().collect(),
            output: &output,
            saved: back.saved,
            found: vec![None; inputs.len()],
            wanted: back.wanted,
            gradients: &mut *back.gradients,
        };
        self.layer.backward(run, &mut inner);
        let found = inner.found;
        for (input, dx) in found.into_iter().enumerate() {
            if let Some(dx) = dx {
                back.give(input, to(run.pool, &dx, self.inputs[input]));
            }
        }
    }

    fn statistics(&self, run: &Run<'_>, saved: &Saved) -> Vec<(usize, Vec<f32>)> {
        self.layer.statistics(run, saved)
    }
}

/// The array itself, if it is in this format.
fn to(pool: &Pool, array: &Array, format: Format) -> Array {
    match (array.format(), format) {
        (Format::Single, Format::Brain) => converted::<f32, bf16>(pool, array),
        (Format::Brain, Format::Single) => converted::<bf16, f32>(pool, array),
        _ => array.clone(),
    }
}

fn converted<A: Element, B: Element>(pool: &Pool, array: &Array) -> Array {
    let mut made = pool.take_as::<B>(array.len());
    convert(array.of::<A>(), made.of_mut::<B>());
    made
}
