//! Loops over tensors that belong together, in parallel where they are large.

use rayon::prelude::*;

use super::ParamTensors;

/// Weights that a thread takes at a time; fewer are not worth another thread. A weight's new value depends on nothing
/// but its own numbers, so neither this nor the number of threads changes the result.
const CHUNK: usize = 1 << 15;

/// Changes each weight by the number of the gradient at its place.
pub(super) fn along_one(tensors: ParamTensors<'_>, rule: impl Fn(&mut f32, f32) + Sync) {
    let ParamTensors { weights, gradient } = tensors;
    let each = |(weights, gradient): Chunk<'_>| {
        for (w, &g) in weights.iter_mut().zip(gradient) {
            rule(w, g);
        }
    };
    if weights.len() <= CHUNK {
        return each((weights, gradient));
    }
    weights.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).for_each(each);
}

/// The same with a slot, which changes too.
pub(super) fn along_two(tensors: ParamTensors<'_>, slot: &mut [f32], rule: impl Fn(&mut f32, f32, &mut f32) + Sync) {
    let ParamTensors { weights, gradient } = tensors;
    let each = |((weights, gradient), slot): (Chunk<'_>, &mut [f32])| {
        for ((w, &g), a) in weights.iter_mut().zip(gradient).zip(slot) {
            rule(w, g, a);
        }
    };
    if weights.len() <= CHUNK {
        return each(((weights, gradient), slot));
    }
    weights.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(slot.par_chunks_mut(CHUNK)).for_each(each);
}

/// The same with two slots.
pub(super) fn along_three(
    tensors: ParamTensors<'_>,
    first: &mut [f32],
    second: &mut [f32],
    rule: impl Fn(&mut f32, f32, &mut f32, &mut f32) + Sync,
) {
    let ParamTensors { weights, gradient } = tensors;
    let each = |((weights, gradient), (first, second)): (Chunk<'_>, SlotChunks<'_>)| {
        for (((w, &g), a), b) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            rule(w, g, a, b);
        }
    };
    if weights.len() <= CHUNK {
        return each(((weights, gradient), (first, second)));
    }
    let slots = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
    weights.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(slots).for_each(each);
}

/// Weights and the gradient of as many.
type Chunk<'a> = (&'a mut [f32], &'a [f32]);
type SlotChunks<'a> = (&'a mut [f32], &'a mut [f32]);
