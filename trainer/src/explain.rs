//! Where in an image a network sees a class: class activation maps (Zhou et al. 2016, "Learning Deep Features for
//! Discriminative Localization", section 2) and their generalization, Grad-CAM (Selvaraju et al. 2017, equations 1 and 2).

use models::graph::NodeId;
use models::ops::{Conv2d, Op};
use models::preprocess::ImageBatch;
use models::{Graph, GraphError, Params, Tensor};
use thiserror::Error;

use crate::backend::{ComputeBackend, ExecError, Executor, ExecutorSpec, Parameter, UpdateRule};
use crate::optim::{Groups, OptimizerKind, Step};

/// Why there is no map.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// A transformer, for example.
    #[error("the network has no feature map on the way to its scores, so where it sees a class cannot be shown")]
    NoFeatureMap,
    /// There is no such class.
    #[error("there is no class {class}; the network has {classes}")]
    Class {
        /// The number asked for.
        class: usize,
        /// How many there are.
        classes: usize,
    },
    /// The network cannot be cut behind its last feature map.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The network does not run.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// A network that is ready to explain its scores: cut in two behind its last feature map.
pub struct Explainer {
    /// From the image to the feature map.
    prefix: Box<dyn Executor>,
    /// From the feature map to the logits.
    suffix: Box<dyn Executor>,
    classes: usize,
}

/// What each place of an image adds to the logit of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationMap {
    /// Rows and columns of the feature map.
    pub size: [usize; 2],
    /// By row: positive where the image speaks for the class, negative where it speaks against it. Where the network ends
    /// in averaging and a linear layer, their sum is the logit without the layer's bias.
    pub values: Vec<f32>,
}

/// A convolution of one pixel that changes nothing: the gradient of its bias is that of the feature map, summed over all
/// places, which is what the method weights channels by.
const PROBE: &str = "explain";

impl Explainer {
    /// Prepares a network, whose weights are in memory a second time as long as this lives.
    ///
    /// # Errors
    /// [`ExplainError::NoFeatureMap`], and whatever is wrong with the network.
    pub fn new(graph: &Graph, params: &Params) -> Result<Self, ExplainError> {
        let graph = simplified(graph, params)?;
        let at = last_feature_map(&graph).ok_or(ExplainError::NoFeatureMap)?;
        let (channels, ..) = graph.chw(at)?;
        let cut = graph.cut(at)?;
        let probe = Conv2d { groups: channels, ..Conv2d::new(channels, channels, 1) };
        let suffix = cut.suffix.behind(PROBE, probe)?;
        let name = suffix.nodes()[1].name.clone();
        let mut params = params.clone();
        params.insert(format!("{name}.weight"), Tensor::new([channels, 1, 1, 1], vec![1.0; channels]));
        params.insert(format!("{name}.bias"), Tensor::new([channels], vec![0.0; channels]));
        let bias = format!("{name}.bias");
        // A step at a rate of zero forgets the gradients and leaves the weights as they are.
        let update = UpdateRule {
            kind: OptimizerKind::Sgd { momentum: 0.0, nesterov: false },
            groups: Groups::default(),
            ema: None,
        };
        let open = |graph: &Graph, trains: &dyn Fn(&Parameter) -> bool, update| {
            ComputeBackend::Rust.open(&ExecutorSpec { graph, params: &params, trains, update })
        };
        Ok(Self {
            classes: suffix.shape(suffix.output()).len(),
            prefix: open(&cut.prefix, &|_| false, None)?,
            suffix: open(&suffix, &|parameter| parameter.name == bias, Some(update))?,
        })
    }

    /// The map of a class for a prepared image `[1, 3, h, w]`.
    ///
    /// # Errors
    /// [`ExplainError::Class`]; [`ExplainError::Exec`] for an image of another size.
    pub fn explain(&mut self, image: &ImageBatch, class: usize) -> Result<ActivationMap, ExplainError> {
        if class >= self.classes {
            return Err(ExplainError::Class { class, classes: self.classes });
        }
        let map = self.prefix.infer_batch(image)?;
        let &[_, channels, rows, columns] = map.shape() else { return Err(ExplainError::NoFeatureMap) };
        let places = rows * columns;
        let numbers = map.data();
        // `[h, w, c]`, as executors take images.
        let pixels: Vec<f32> =
            (0..places * channels).map(|at| numbers[at % channels * places + at / channels]).collect();
        self.suffix.forward_train(&pixels, 0)?;
        let logit: Vec<f32> = (0..self.classes).map(|at| f32::from(u8::from(at == class))).collect();
        self.suffix.backward(&logit)?;
        let gradients = self.suffix.read_gradients()?;
        self.suffix.apply(Step::at(0.0))?;
        let weights: Vec<f32> = gradients.iter().flat_map(|(_, gradient)| gradient.data().to_vec()).collect();
        let value = |place: usize| {
            let channels = pixels[place * channels..][..channels].iter().zip(&weights);
            channels.map(|(x, weight)| f64::from(*x) * f64::from(*weight)).sum::<f64>() / places as f64
        };
        Ok(ActivationMap { size: [rows, columns], values: (0..places).map(|place| value(place) as f32).collect() })
    }
}

/// The network without what is no part of an explanation: dropout, which in training would make another network of it each time, and
/// what all logits have in common, which speaks for no class.
fn simplified(graph: &Graph, params: &Params) -> Result<Graph, GraphError> {
    graph.rebuild(|builder, id, node| match node.op {
        Op::Dropout(_) => Ok(node.inputs[0]),
        _ if shifts_all_alike(graph, params, id) => Ok(node.inputs[0]),
        _ => builder.push_node(node),
    })
}

/// Whether a node adds the same number to all logits of an image.
fn shifts_all_alike(graph: &Graph, params: &Params, id: NodeId) -> bool {
    let is_uniform = |name: &String| {
        params.get(name).is_some_and(|tensor| tensor.data().iter().all(|&number| number == tensor.data()[0]))
    };
    graph.shifted(id).is_some() && graph.node(graph.node(id).inputs[1]).params.iter().all(is_uniform)
}

/// The last node with rows and columns that all scores go through.
fn last_feature_map(graph: &Graph) -> Option<NodeId> {
    let mut id = graph.output();
    loop {
        if id == graph.input() {
            return None;
        }
        if let [_, rows, columns] = graph.shape(id).dims()
            && rows * columns > 1
        {
            return Some(id);
        }
        id = *graph.node(id).inputs.first()?;
    }
}

#[cfg(test)]
mod tests {
    use models::graph::GraphBuilder;
    use models::init;
    use models::ops::{Activation, Add, Dropout, Flatten, GlobalAvgPool, L2Length, L2Norm, Linear, Relu, Shape};

    use super::*;

    /// A convolution, averages of its four channels, and a linear layer of three classes behind these steps.
    fn network(steps: &[Op]) -> (Graph, Params) {
        let mut graph = GraphBuilder::new("input", Shape::image(3, 6, 8));
        let mut x = graph.push("conv", Conv2d::new(3, 4, 3).stride(2).padding(1), &[graph.input()]).unwrap();
        x = graph.push("relu", Relu, &[x]).unwrap();
        x = graph.push("pool", GlobalAvgPool, &[x]).unwrap();
        x = graph.push("flatten", Flatten, &[x]).unwrap();
        for (index, step) in steps.iter().enumerate() {
            x = graph.push(&format!("step{index}"), step.clone(), &[x]).unwrap();
        }
        let head = graph.push("fc", Linear::new(4, 3), &[x]).unwrap();
        let graph = graph.finish(head);
        let params = init::scrambled(&graph, 5);
        (graph, params)
    }

    fn image() -> ImageBatch {
        ImageBatch::from_raw([1, 3, 6, 8], (0..144).map(|at| ((at * 37) % 29) as f32 / 14.0 - 1.0).collect())
    }

    /// The sum over the map, and the logit without its bias.
    fn sum_and_logit(steps: &[Op], class: usize) -> [f32; 2] {
        let (graph, params) = network(steps);
        let spec = ExecutorSpec { graph: &graph, params: &params, trains: &|_| false, update: None };
        let logits = ComputeBackend::Rust.open(&spec).unwrap().infer_batch(&image()).unwrap();
        let map = Explainer::new(&graph, &params).unwrap().explain(&image(), class).unwrap();
        assert_eq!((map.size, map.values.len()), ([3, 4], 12));
        [map.values.iter().sum(), logits.data()[class] - params.get("fc.bias").unwrap().data()[class]]
    }

    /// Sums of a dozen numbers of a few units each, in another order.
    fn assert_near(sum: f32, expected: f32) {
        assert!((sum - expected).abs() < 1e-5, "{sum} {expected}");
    }

    #[test]
    fn behind_averages_and_a_linear_layer_the_places_add_up_to_the_logit() {
        for class in 0..3 {
            let [sum, logit] = sum_and_logit(&[], class);
            assert_near(sum, logit);
        }
    }

    /// A function of degree d has `x · f'(x) = d · f(x)` (Euler): roots are of degree 1/2, vectors of length one of degree 0.
    #[test]
    fn behind_roots_they_add_up_to_half_of_it_and_behind_lengths_to_nothing() {
        let root = Op::Activation(Activation::SignedSqrt);
        let [sum, logit] = sum_and_logit(std::slice::from_ref(&root), 1);
        assert_near(sum, logit / 2.0);
        let [sum, _] = sum_and_logit(&[root, Op::L2Norm(L2Norm)], 1);
        assert_near(sum, 0.0);
    }

    #[test]
    fn a_map_is_the_same_every_time_and_without_dropout() {
        let (graph, params) = network(&[Op::Dropout(Dropout { p: 0.9 })]);
        let mut explainer = Explainer::new(&graph, &params).unwrap();
        let maps: Vec<_> = (0..3).map(|_| explainer.explain(&image(), 2).unwrap()).collect();
        assert_eq!(maps, vec![maps[0].clone(); 3]);
        let (graph, params) = network(&[]);
        assert_eq!(Explainer::new(&graph, &params).unwrap().explain(&image(), 2).unwrap(), maps[0]);
    }

    #[test]
    fn what_all_classes_have_in_common_is_no_part_of_a_map() {
        let (graph, mut params) = network(&[]);
        let plain = Explainer::new(&graph, &params).unwrap().explain(&image(), 1).unwrap();
        let mut builder = GraphBuilder::from(graph.clone());
        let length = builder.push("length", L2Length, &[graph.find("flatten").unwrap()]).unwrap();
        let shift = builder.push("shift", Linear::new(1, 3), &[length]).unwrap();
        let output = builder.push("logits", Add, &[graph.output(), shift]).unwrap();
        params.insert("shift.weight", Tensor::new([3, 1], vec![-7.0; 3]));
        params.insert("shift.bias", Tensor::new([3], vec![2.0; 3]));
        let shifted = builder.finish(output);
        let map = |params: &Params| Explainer::new(&shifted, params).unwrap().explain(&image(), 1).unwrap();
        assert_eq!(map(&params), plain);
        // What differs from class to class does speak for a class.
        params.insert("shift.weight", Tensor::new([3, 1], vec![-7.0, 7.0, -7.0]));
        assert_ne!(map(&params), plain);
    }

    #[test]
    fn a_network_without_maps_and_a_class_that_there_is_not_are_named() {
        let mut graph = GraphBuilder::new("input", Shape::image(3, 2, 2));
        let flat = graph.push("flatten", Flatten, &[graph.input()]).unwrap();
        let head = graph.push("fc", Linear::new(12, 3), &[flat]).unwrap();
        let graph = graph.finish(head);
        let params = init::he(&graph, 1);
        assert!(matches!(Explainer::new(&graph, &params), Err(ExplainError::NoFeatureMap)));
        let (graph, params) = network(&[]);
        let refused = Explainer::new(&graph, &params).unwrap().explain(&image(), 3);
        assert!(matches!(refused, Err(ExplainError::Class { class: 3, classes: 3 })));
    }
}
