//! How far an image is from those of the training, in the sum of the powers of its logits, by which a model knows that an image is
//! none of its classes (docs/adr/0037-familiarity-by-a-shift-of-logits.md).
//!
//! All logits of an image are lowered alike by the distance of its features from the subspace of the training's. Scores stay as they
//! are, since a softmax does not see what all logits have in common; `ln Σ exp(logit)` does.

use models::doubt::familiarity;
use models::graph::{GraphBuilder, GraphError, NodeId};
use models::ops::{Activation, Add, L2Length, Linear, Op, Shape};
use models::{Graph, Network, Params, Tensor};

use super::FinetuneError;
use super::certainty::mean_and_deviation;
use super::head::LinearHead;
use super::outcome::{Outcome, SubsetResult};
use super::probe::{FeaturePooling, FeaturePower, FeatureScaling, FeatureTransform, OutOfFold};
use super::subspace::Subspace;
use crate::backend::cpu::kernels::dot::dot;

/// What a standard deviation of the distance counts, where one of `ln Σ exp(logit)` counts one.
const SHARE: f64 = 0.3;
/// The least standard deviation of distances between vectors of length one that says something. Engines agree on them to six digits, and
/// what is little would have to be multiplied by much.
const LEAST: f64 = 1e-3;
/// The training images are left out of their own subspace, so many parts of them one after the other.
const PARTS: usize = 4;

/// What the head takes of images: `[n, width]`.
pub(super) struct HeadInputs {
    /// Of the training images, in the order of the split where the head alone was trained, and of some of them where not.
    pub(super) train: Vec<f32>,
    pub(super) validation: Vec<f32>,
    pub(super) test: Vec<f32>,
}

/// The distance from a subspace, and what it does to logits.
struct Shift {
    /// What is done to the head's input first.
    transform: FeatureTransform,
    subspace: Subspace,
    /// What a distance of one takes from each logit.
    factor: f32,
    /// The distance that changes nothing: the mean of images that the subspace was not made of.
    usual: f32,
    /// The distances of these images.
    held_out: Vec<f32>,
}

/// Lowers the logits of the network and of its results by the distance. Where there are too few images to tell, or too few
/// features, nothing changes.
pub(super) fn lower_by_distance(outcome: Outcome, inputs: &HeadInputs) -> Result<Outcome, FinetuneError> {
    let Some(shift) = Shift::of(&outcome, inputs) else { return Ok(outcome) };
    let lowered = |result: &SubsetResult, inputs: &[f32]| {
        let distances = shift.subspace.distances(&shift.transformed(inputs));
        SubsetResult { logits: shift.lower(&result.logits, &distances), ..result.clone() }
    };
    let (validation, test) = (lowered(&outcome.validation, &inputs.validation), lowered(&outcome.test, &inputs.test));
    let out_of_fold = outcome
        .out_of_fold
        .as_ref()
        .map(|out| OutOfFold { logits: shift.lower(&out.logits, &shift.held_out), ..out.clone() });
    let network = shift.network(&outcome.network, outcome.head.node)?;
    Ok(Outcome { network, validation, test, out_of_fold, ..outcome })
}

impl Shift {
    fn of(outcome: &Outcome, inputs: &HeadInputs) -> Option<Self> {
        let graph = &outcome.network.graph;
        let transform = transform(graph, outcome.head.node);
        let width = graph.shape(graph.node(outcome.head.node).inputs[0]).len();
        let transformed = |inputs: &[f32]| transform.apply(&Shape::vector(width), inputs);
        let train = transformed(&inputs.train);
        let subspace = Subspace::of(&train.chunks(width).collect::<Vec<_>>())?;
        let (logits, held_out) = match &outcome.out_of_fold {
            Some(out) => (&out.logits, left_out(&train, width, out)?),
            None => (&outcome.validation.logits, subspace.distances(&transformed(&inputs.validation))),
        };
        let classes = logits.len() / held_out.len().max(1);
        let energies: Vec<f32> = logits.chunks(classes.max(1)).map(familiarity).collect();
        let ([_, energy], [usual, distance]) = (mean_and_deviation(&energies), mean_and_deviation(&held_out));
        let factor = (SHARE * energy / distance) as f32;
        (distance > LEAST && factor > 0.0).then_some(Self {
            transform,
            subspace,
            factor,
            usual: usual as f32,
            held_out,
        })
    }

    fn transformed(&self, inputs: &[f32]) -> Vec<f32> {
        self.transform.apply(&Shape::vector(self.subspace.mean.len()), inputs)
    }

    fn lower(&self, logits: &[f32], distances: &[f32]) -> Vec<f32> {
        let classes = (logits.len() / distances.len().max(1)).max(1);
        let rows = logits.chunks(classes).zip(distances);
        let lower = |(row, distance): (&[f32], &f32)| {
            let shift = self.factor * (self.usual - distance);
            row.iter().map(move |logit| logit + shift).collect::<Vec<f32>>()
        };
        rows.flat_map(lower).collect()
    }

    /// The network with the distance taken from the logits of its head.
    fn network(&self, network: &Network, head: NodeId) -> Result<Network, FinetuneError> {
        let graph = &network.graph;
        let mut behind = Behind { builder: GraphBuilder::from(graph.clone()), params: network.params.clone() };
        let mut features = graph.node(head).inputs[0];
        for step in self.transform.steps(graph.shape(features)) {
            features = behind.push("features", step, &[features])?;
        }
        let Subspace { mean, directions } = &self.subspace;
        let (width, count) = (mean.len(), self.subspace.count());
        let along = |row: &[f32]| -dot(row, mean) as f32;
        let back: Vec<f32> = (0..width * count).map(|at| -directions[at % count * width + at / count]).collect();
        let classes = graph.shape(head).len();
        let coordinates = LinearHead {
            weight: Tensor::new([count, width], directions.clone()),
            bias: Tensor::new([count], directions.chunks(width).map(along).collect()),
        };
        let rest = LinearHead {
            weight: Tensor::new([width, count], back),
            bias: Tensor::new([width], mean.iter().map(|mean| -mean).collect()),
        };
        let lowering = LinearHead {
            weight: Tensor::new([classes, 1], vec![-self.factor; classes]),
            bias: Tensor::new([classes], vec![self.factor * self.usual; classes]),
        };
        let coordinates = behind.linear("directions", coordinates, features)?;
        let rest = behind.linear("projection", rest, coordinates)?;
        let rest = behind.push("residual", Add, &[features, rest])?;
        let distance = behind.push("distance", L2Length, &[rest])?;
        let shift = behind.linear("shift", lowering, distance)?;
        let output = behind.push("logits", Add, &[head, shift])?;
        let Behind { builder, params } = behind;
        Ok(Network::new(builder.finish(output), &params, network.spec.clone())?)
    }
}

/// A network to which nodes are added.
struct Behind {
    builder: GraphBuilder,
    params: Params,
}

impl Behind {
    fn push(&mut self, role: &str, op: impl Into<Op>, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let name = self.builder.free_name(&format!("familiarity.{role}"));
        self.builder.push(&name, op, inputs)
    }

    fn linear(&mut self, role: &str, layer: LinearHead, input: NodeId) -> Result<NodeId, GraphError> {
        let shape = layer.weight.shape();
        let id = self.push(role, Linear::new(shape[1], shape[0]), &[input])?;
        for (name, tensor) in self.builder.node(id).params.clone().iter().zip([layer.weight, layer.bias]) {
            self.params.insert(name, tensor);
        }
        Ok(id)
    }
}

/// What makes signed roots of unit length of what the head takes, where the network has not made them yet. Their distances tell
/// strangers apart (`trainer/reference/stranger_measures.py`).
fn transform(graph: &Graph, head: NodeId) -> FeatureTransform {
    let op_before = |id: NodeId| graph.node(id).inputs.first().map(|&input| (input, &graph.node(input).op));
    let root = Op::from(Activation::SignedSqrt);
    let (power, scaling) = match op_before(head) {
        Some((norm, Op::L2Norm(_))) if op_before(norm).is_some_and(|(_, op)| *op == root) => {
            (FeaturePower::Plain, FeatureScaling::Standardized)
        }
        Some((_, op)) if *op == root => (FeaturePower::Plain, FeatureScaling::UnitLength),
        _ => (FeaturePower::SignedSqrt, FeatureScaling::UnitLength),
    };
    FeatureTransform { pooling: FeaturePooling::All, power, scaling }
}

/// The distance of each training image that was left out from the subspace of others: each part of them is measured by the other
/// parts.
fn left_out(train: &[f32], width: usize, out: &OutOfFold) -> Option<Vec<f32>> {
    let rows: Vec<&[f32]> = train.chunks(width).collect();
    let mut distances = vec![0.0; out.images.len()];
    for part in 0..PARTS {
        let others: Vec<&[f32]> =
            (0..rows.len()).filter(|image| image % PARTS != part).map(|image| rows[image]).collect();
        let places: Vec<usize> = (0..out.images.len()).filter(|&place| out.images[place] % PARTS == part).collect();
        let left: Vec<f32> = places.iter().flat_map(|&place| rows[out.images[place]]).copied().collect();
        for (place, distance) in places.into_iter().zip(Subspace::of(&others)?.distances(&left)) {
            distances[place] = distance;
        }
    }
    Some(distances)
}

#[cfg(test)]
mod tests {
    use models::ops::L2Norm;
    use models::preprocess::Preprocess;
    use models::{ModelSpec, init};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::backend::CpuExecutor;
    use crate::metrics::Truths;

    const WIDTH: usize = 16;

    /// Features in four of sixteen directions, and a little in the others.
    fn features(rows: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..rows * WIDTH).map(|at| rng.random::<f32>() * if at % WIDTH < 4 { 2.0 } else { 0.2 }).collect()
    }

    fn executed(network: &Network, features: &[f32]) -> Vec<f32> {
        CpuExecutor::new(&network.graph, &network.params).unwrap().infer_nhwc(features).unwrap()
    }

    /// A head of two classes behind these steps, what it takes, and what it says to that.
    fn head_on(steps: &[Op]) -> (Outcome, HeadInputs) {
        let mut graph = GraphBuilder::new("features", Shape::vector(WIDTH));
        let mut x = graph.input();
        for (index, step) in steps.iter().enumerate() {
            x = graph.push(&format!("step{index}"), step.clone(), &[x]).unwrap();
        }
        let head = graph.push("graft.head", Linear::new(WIDTH, 2), &[x]).unwrap();
        let (graph, stepped) = (graph.finish(head), |graph: &Graph| graph.prefix(graph.node(head).inputs[0]));
        let spec = ModelSpec::new("head", None, Preprocess::torchvision(8, 8));
        let network = Network::new(graph.clone(), &init::scrambled(&graph, 3), spec.clone()).unwrap();
        let before = Network::new(stepped(&graph), &Params::default(), spec).unwrap();
        let subset = |rows, seed| {
            let features = features(rows, seed);
            let truths = vec![0; rows];
            let result = SubsetResult::new(executed(&network, &features), Truths::exclusive(&truths, 2), None);
            (executed(&before, &features), result)
        };
        let ((validation, said), (test, measured)) = (subset(60, 1), subset(3, 2));
        let inputs = HeadInputs { train: executed(&before, &features(160, 0)), validation, test };
        (Outcome { validation: said, test: measured, ..Outcome::of_head(network, head) }, inputs)
    }

    fn energies(logits: &[f32]) -> Vec<f32> {
        logits.chunks(2).map(familiarity).collect()
    }

    #[test]
    fn all_logits_of_an_image_are_lowered_alike_by_the_file_as_by_the_results() {
        let root = Op::from(Activation::SignedSqrt);
        for steps in [vec![], vec![root.clone()], vec![L2Norm.into()], vec![root, L2Norm.into()]] {
            let (plain, inputs) = head_on(&steps);
            let lowered = lower_by_distance(plain.clone(), &inputs).unwrap();
            let added = lowered.network.graph.nodes().len() - plain.network.graph.nodes().len();
            // Two layers and a sum, the distance, another layer and a sum; and what the head has not done to features.
            let missing = if steps.len() == 2 {
                0
            } else {
                2 - usize::from(steps.first().is_some_and(|op| *op == Op::from(Activation::SignedSqrt)))
            };
            assert_eq!(added, 6 + missing, "{steps:?}");
            for (rows, seed, result, before) in
                [(60, 1, &lowered.validation, &plain.validation), (3, 2, &lowered.test, &plain.test)]
            {
                let executed = executed(&lowered.network, &features(rows, seed));
                // Sums of sixteen products of f32.
                let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
                assert!(executed.iter().zip(&result.logits).all(near), "{steps:?}: {executed:?} {:?}", result.logits);
                let shifts =
                    |class: usize| result.logits.iter().zip(&before.logits).skip(class).step_by(2).map(|(a, b)| a - b);
                assert!(shifts(0).zip(shifts(1)).all(|(a, b)| (a - b).abs() < 1e-5), "{steps:?}");
            }
            // The shifts of images that the subspace was not made of have no mean, and 0.3 of the energies' deviation.
            let [before, after] = [&plain, &lowered].map(|outcome| energies(&outcome.validation.logits));
            let shifts: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
            let ([mean, deviation], [_, energy]) = (mean_and_deviation(&shifts), mean_and_deviation(&before));
            assert!(
                mean.abs() < 1e-5 && (deviation / energy - 0.3).abs() < 1e-4,
                "{steps:?}: {mean} {deviation} {energy}"
            );
        }
    }

    #[test]
    fn features_in_other_directions_are_less_familiar() {
        let (plain, inputs) = head_on(&[]);
        let lowered = lower_by_distance(plain.clone(), &inputs).unwrap();
        // Large where those of the training are small, and small where they are large.
        let strange: Vec<f32> =
            features(40, 5).chunks(WIDTH).flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect();
        let lost = |features: &[f32]| -> f32 {
            let [before, after] = [&plain, &lowered].map(|outcome| energies(&executed(&outcome.network, features)));
            before.iter().zip(&after).map(|(before, after)| before - after).fold(f32::INFINITY, f32::min)
        };
        let usual = features(40, 6);
        assert!(lost(&strange) > 0.0 && lost(&usual) < 0.0, "{} {}", lost(&strange), lost(&usual));
    }

    #[test]
    fn training_images_are_measured_by_what_others_are_like() {
        let (plain, inputs) = head_on(&[]);
        // Few enough that a subspace has much of its own images' chance in it, and as many directions without a quarter of them.
        let inputs = HeadInputs { train: inputs.train[..44 * WIDTH].to_vec(), validation: vec![], ..inputs };
        let images: Vec<usize> = (0..44).filter(|image| image % 5 != 0).collect();
        let logits = images.iter().flat_map(|&image| executed(&plain.network, &inputs.train[image * WIDTH..][..WIDTH]));
        let out_of_fold = Some(OutOfFold { logits: logits.collect(), images: images.clone() });
        let nothing = SubsetResult::new(vec![], Truths::exclusive(&[], 2), None);
        let plain = Outcome { out_of_fold, validation: nothing, ..plain };
        let lowered = lower_by_distance(plain.clone(), &inputs).unwrap();
        let shift = |outcome: &Outcome| energies(&outcome.out_of_fold.as_ref().unwrap().logits);
        let [before, after] = [&plain, &lowered].map(shift);
        assert_eq!(after.len(), images.len());
        let own: Vec<f32> = images.iter().flat_map(|&image| inputs.train[image * WIDTH..][..WIDTH].to_vec()).collect();
        let in_its_own = energies(&executed(&lowered.network, &own));
        // Images are farther from a subspace that was made without them than from one that was made with them.
        let [before, after, in_its_own] = [before, after, in_its_own].map(|numbers| mean_and_deviation(&numbers)[0]);
        assert!(after < in_its_own - 0.01, "{after} {in_its_own}");
        assert!((after - before).abs() < 1e-5, "{after} {before}");
    }

    #[test]
    fn too_few_images_change_nothing() {
        let (plain, inputs) = head_on(&[]);
        let few = HeadInputs { train: inputs.train[..7 * WIDTH].to_vec(), ..inputs };
        let same = lower_by_distance(plain.clone(), &few).unwrap();
        assert_eq!((same.network, same.test.logits), (plain.network, plain.test.logits));
    }
}
