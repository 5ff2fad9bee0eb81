//! Convolution and its gradients on `[n, h, w, c]`, without unrolling the image: every sum is of products of a pixel's
//! channels with rows of the weights, and where those pixels are is looked up in a plan.

mod depthwise;
mod gather;
mod geometry;
mod panels;
mod plan;
mod sweep;
mod weight_grad;

use rayon::prelude::*;

use depthwise::Depthwise;
use gather::Gathered;
use geometry::Channels;
pub(crate) use geometry::{Axis, Geometry};
use panels::Panels;
use plan::Plan;
pub(crate) use sweep::SumStart;
use sweep::Sweep;
use weight_grad::{WeightGrad, WeightGradPairs};

use super::simd::lanes;

/// The weights of a convolution, and the initial value of its sums.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'a> {
    /// `[kh, kw, in / groups, out]`.
    pub(crate) weight: &'a [f32],
    pub(crate) start: SumStart<'a>,
}

/// A convolution of batches of one size. Weights are `[kh, kw, in / groups, out]`.
pub(crate) struct Convolution {
    geometry: Geometry,
    batch: usize,
    algorithm: ConvAlgorithm,
}

/// The algorithm for a shape.
enum ConvAlgorithm {
    /// Sweeps over plans for this batch size.
    Planned { forward: Vec<Plan>, adjoint: Vec<Plan>, pairs: WeightGradPairs },
    /// With few channels gathered first; the gradient of the input, which a first layer does not need, by a plan.
    Gathered { gathered: Gathered, adjoint: Vec<Plan> },
    /// A convolution of each channel.
    Depthwise { forward: [Axis; 2], adjoint: [Axis; 2] },
}

impl Convolution {
    pub(crate) fn new(geometry: &Geometry, batch: usize) -> Self {
        let (forward, adjoint) = (geometry.forward(), geometry.adjoint());
        let adjoints = || plans(&adjoint, geometry.output, batch);
        let algorithm = if geometry.group_in() == 1 && geometry.group_out() == 1 && geometry.conv.groups > 1 {
            ConvAlgorithm::Depthwise { forward, adjoint }
        } else if let Some(gathered) = Gathered::new(geometry) {
            ConvAlgorithm::Gathered { gathered, adjoint: adjoints() }
        } else {
            ConvAlgorithm::Planned {
                forward: plans(&forward, geometry.input, batch),
                adjoint: adjoints(),
                pairs: WeightGradPairs::new(&forward, geometry.input),
            }
        };
        Self { geometry: geometry.clone(), batch, algorithm }
    }

    /// `y = x * weight + start`.
    pub(crate) fn forward(&self, x: &[f32], filter: Filter<'_>, y: &mut [f32]) {
        let [inside, outside] = self.channels();
        match &self.algorithm {
            ConvAlgorithm::Depthwise { forward, .. } => {
                self.depthwise(forward, self.geometry.input).sweep(x, filter, y)
            }
            ConvAlgorithm::Gathered { gathered, .. } => gathered.forward(x, filter, y),
            ConvAlgorithm::Planned { forward, .. } => {
                for group in 0..self.geometry.conv.groups {
                    let (from, to) = (inside.of_group(group), outside.of_group(group));
                    let panels = Panels::of_rows(filter.weight, [self.geometry.taps(), from.count], to, lanes());
                    GroupSweep { plans: forward, batch: self.batch, panels, from, to, start: filter.start }.run(x, y);
                }
            }
        }
    }

    /// The gradient of `x`, added to `start`.
    pub(crate) fn backward_input(&self, dy: &[f32], filter: Filter<'_>, dx: &mut [f32]) {
        let [inside, outside] = self.channels();
        match &self.algorithm {
            ConvAlgorithm::Depthwise { adjoint, .. } => {
                self.depthwise(adjoint, self.geometry.output).sweep(dy, filter, dx)
            }
            ConvAlgorithm::Gathered { adjoint, .. } | ConvAlgorithm::Planned { adjoint, .. } => {
                for group in 0..self.geometry.conv.groups {
                    let (to, from) = (inside.of_group(group), outside.of_group(group));
                    let panels = Panels::of_columns(filter.weight, [self.geometry.taps(), to.count], from, lanes());
                    GroupSweep { plans: adjoint, batch: self.batch, panels, from, to, start: filter.start }.run(dy, dx);
                }
            }
        }
    }

    /// The gradient of the weights.
    pub(crate) fn backward_weight(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let [inside, outside] = self.channels();
        match &self.algorithm {
            ConvAlgorithm::Depthwise { forward, .. } => self.depthwise(forward, self.geometry.input).outer(x, dy, dw),
            ConvAlgorithm::Gathered { gathered, .. } => gathered.backward_weight(x, dy, dw),
            ConvAlgorithm::Planned { pairs, .. } => {
                for group in 0..self.geometry.conv.groups {
                    let (input, output) = (inside.of_group(group), outside.of_group(group));
                    WeightGrad { pairs, input, output }.run(x, dy, dw);
                }
            }
        }
    }

    fn depthwise<'a>(&self, axes: &'a [Axis; 2], source: [usize; 2]) -> Depthwise<'a> {
        Depthwise { axes, source, channels: self.geometry.conv.in_channels }
    }

    /// Channels of the first group, of the input and of the output.
    fn channels(&self) -> [Channels; 2] {
        let Geometry { conv, .. } = &self.geometry;
        [(self.geometry.group_in(), conv.in_channels), (self.geometry.group_out(), conv.out_channels)]
            .map(|(count, stride)| Channels { first: 0, count, stride })
    }
}

/// One group of channels of a planned convolution, over a whole batch.
struct GroupSweep<'a> {
    plans: &'a [Plan],
    /// How many images.
    batch: usize,
    panels: Panels,
    from: Channels,
    to: Channels,
    start: SumStart<'a>,
}

impl GroupSweep<'_> {
    fn run(&self, source: &[f32], destination: &mut [f32]) {
        let Self { plans, ref panels, from, to, start, .. } = *self;
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

/// A plan for each full group of images, and one for the remainder.
fn plans(axes: &[Axis; 2], source: [usize; 2], batch: usize) -> Vec<Plan> {
    let joined = Plan::joined(axes, batch, rayon::current_num_threads());
    let sizes = [joined, batch % joined];
    sizes.into_iter().filter(|&images| images > 0).map(|images| Plan::new(axes, source, images)).collect()
}

/// How often each plan is run.
fn repeated(plans: &[Plan], batch: usize) -> impl Iterator<Item = (&Plan, usize)> {
    plans.iter().scan(batch, |left, plan| {
        let repeats = *left / plan.images;
        *left %= plan.images;
        Some((plan, repeats))
    })
}
