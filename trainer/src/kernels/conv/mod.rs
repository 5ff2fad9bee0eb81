//! Convolution and its gradients on `[n, h, w, c]`, without unrolling the image: every sum is of products of a pixel's
//! channels with rows of the weights, and where those pixels are is looked up in a plan.

mod geometry;
mod outer;
mod panels;
mod plan;
mod sweep;

use rayon::prelude::*;

pub(crate) use geometry::Geometry;
use geometry::Axis;
use outer::{Meetings, Outer};
use panels::Panels;
use plan::Plan;
pub(crate) use sweep::Start;
use sweep::{Channels, Sweep};

use super::simd::lanes;

/// Fewer channels than this are not worth a plan's lookups: all taps of a pixel are gathered first.
const FEW: usize = 8;

/// A convolution of batches of one size. Weights are `[kh, kw, in / groups, out]`.
pub(crate) struct Convolution {
    geometry: Geometry,
    batch: usize,
    forward: Vec<Plan>,
    adjoint: Vec<Plan>,
    meetings: Meetings,
}

impl Convolution {
    pub(crate) fn new(geometry: &Geometry, batch: usize) -> Self {
        let threads = rayon::current_num_threads();
        let (forward, adjoint) = (geometry.forward(), geometry.adjoint());
        Self {
            batch,
            forward: plans(&forward, geometry.input, batch, threads),
            adjoint: plans(&adjoint, geometry.output, batch, threads),
            meetings: Meetings::new(&forward, geometry.input),
            geometry: geometry.clone(),
        }
    }

    /// `y = x * weight`, from what `y` starts with.
    pub(crate) fn forward(&self, x: &[f32], weight: &[f32], y: &mut [f32], start: Start<'_>) {
        let [inside, outside] = self.channels();
        let shape = [self.geometry.taps(), inside.count, outside.count];
        for group in 0..self.geometry.conv.groups {
            let (from, to) = (inside.of_group(group), outside.of_group(group));
            let panels = Panels::of_rows(weight, shape, (to.first, to.stride), lanes());
            self.sweep(&self.forward, (&panels, from, to), start, (x, y));
        }
    }

    /// The gradient of `x`, from what `dx` starts with.
    pub(crate) fn backward_input(&self, dy: &[f32], weight: &[f32], dx: &mut [f32], start: Start<'_>) {
        let [inside, outside] = self.channels();
        let shape = [self.geometry.taps(), outside.count, inside.count];
        for group in 0..self.geometry.conv.groups {
            let (to, from) = (inside.of_group(group), outside.of_group(group));
            let panels = Panels::of_columns(weight, shape, (from.first, from.stride), lanes());
            self.sweep(&self.adjoint, (&panels, from, to), start, (dy, dx));
        }
    }

    /// The gradient of the weights.
    pub(crate) fn backward_weight(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let [inside, outside] = self.channels();
        for group in 0..self.geometry.conv.groups {
            let (input, output) = (inside.of_group(group), outside.of_group(group));
            Outer { meetings: &self.meetings, input, output }.run(x, dy, dw);
        }
    }

    /// Channels of the first group, of the input and of the output.
    fn channels(&self) -> [Channels; 2] {
        let Geometry { conv, .. } = &self.geometry;
        [(self.geometry.group_in(), conv.in_channels), (self.geometry.group_out(), conv.out_channels)]
            .map(|(count, stride)| Channels { first: 0, count, stride })
    }

    fn sweep(
        &self,
        plans: &[Plan],
        (panels, from, to): (&Panels, Channels, Channels),
        start: Start<'_>,
        (source, destination): (&[f32], &mut [f32]),
    ) {
        let mut parts = Vec::new();
        let (mut source, mut destination) = (source, destination);
        let images = |numbers: usize, images: usize| numbers / self.batch * images;
        let (per_source, per_destination) = (images(source.len(), 1), images(destination.len(), 1));
        for (plan, repeats) in repeated(plans, self.batch) {
            for _ in 0..repeats {
                let (near, far) = source.split_at(plan.images * per_source);
                let (out, rest) = destination.split_at_mut(plan.images * per_destination);
                parts.push((plan, near, out));
                (source, destination) = (far, rest);
            }
        }
        parts.into_par_iter().for_each(|(plan, source, destination)| {
            Sweep { plan, panels, from, to, start }.run(source, destination);
        });
    }
}

impl Channels {
    fn of_group(self, group: usize) -> Self {
        Self { first: group * self.count, ..self }
    }
}

/// A plan for as many images as are joined, and one for those that are left over.
fn plans(axes: &[Axis; 2], source: [usize; 2], batch: usize, threads: usize) -> Vec<Plan> {
    let joined = Plan::joined(axes, batch, threads);
    let sizes = [joined, batch % joined];
    sizes.into_iter().filter(|&images| images > 0).map(|images| Plan::new(axes, source, images)).collect()
}

/// How often each plan comes.
fn repeated(plans: &[Plan], batch: usize) -> impl Iterator<Item = (&Plan, usize)> {
    plans.iter().scan(batch, |left, plan| {
        let repeats = *left / plan.images;
        *left %= plan.images;
        Some((plan, repeats))
    })
}
