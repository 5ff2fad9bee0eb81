//! The head of VGG's article: two hidden layers of 4096 with dropout (Simonyan and Zisserman 2015).

use models::graph::{Graph, GraphBuilder, GraphError, NodeId};
use models::init;
use models::ops::{Dropout, Linear, Op, Relu, Shape};
use models::params::ParamsError;
use models::{Params, Tensor};

use super::sgd::HeadTraining;
use super::transform::FeatureTransform;
use super::{LinearProbe, ProbeTask};
use crate::backend::ExecError;
use crate::events::{Event, Observer};
use crate::finetune::FinetuneError;
use crate::finetune::head::LinearHead;
use crate::fit::{self, FeatureExamples};

/// Numbers in each hidden layer, and the share of them that an image trains without.
const WIDTH: usize = 4096;
const DROPOUT: f32 = 0.5;
/// How often the weights are in memory at the same time: as trained, as gradients, as the optimizer's momentum, as those of the
/// best epoch, in the network, and in its file.
const COPIES: usize = 6;
/// The most bytes of all of them.
const LIMIT: usize = 4 << 30;

/// Weights of the hidden layers and of the last.
pub(in crate::finetune) fn weights(width: usize, classes: usize) -> usize {
    (width + 1) * WIDTH + (WIDTH + 1) * WIDTH + (WIDTH + 1) * classes
}

/// The most bytes of so many weights while they are trained.
pub(in crate::finetune) fn training_bytes(weights: usize) -> usize {
    COPIES * weights * size_of::<f32>()
}

/// The operators of the hidden layers.
pub(super) fn steps(width: usize) -> Vec<Op> {
    let layer =
        |width: usize| -> [Op; 3] { [Linear::new(width, WIDTH).into(), Relu.into(), Dropout { p: DROPOUT }.into()] };
    [layer(width), layer(WIDTH)].concat()
}

/// Trains on all features as they are, over their root mean square, by SGD. The epoch with the best validation result is kept.
pub(super) fn train(task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<LinearProbe, FinetuneError> {
    let ProbeTask { training, validation, classes, options, .. } = *task;
    let width = training.width();
    let (graph, layers) = graph(width, classes)?;
    let weights = weights(width, classes);
    let bytes = training_bytes(weights);
    if bytes > LIMIT {
        let mib = |bytes: usize| bytes >> 20;
        return Err(FinetuneError::HeadMemory { features: width, needed: mib(bytes), limit: mib(LIMIT) });
    }
    let message = format!(
        "the head is the article's: two layers of {WIDTH} on {width} features, {:.1} million weights; its training takes about \
         {} MiB",
        weights as f64 / 1e6,
        bytes >> 20
    );
    observer.event(Event::Note { message });
    let scale = 1.0 / root_mean_square(&training.features);
    let scaled = |features: &[f32]| features.iter().map(|x| x * scale).collect::<Vec<f32>>();
    let images = training.classes.len() / task.views;
    let views = training.features.chunks(images * width).map(scaled).collect();
    let training = FeatureExamples::new(views, training.classes[..images].to_vec(), options.seed);
    let validation = FeatureExamples::new(vec![scaled(&validation.features)], validation.classes.clone(), options.seed);
    let params = init::he(&graph, options.seed);
    let run = HeadTraining { graph: &graph, params: &params, training, validation };
    let fitted = run.fit(task, observer)?;
    drop(params);
    let layers = layers.iter().map(|&layer| of_node(&graph, layer, &fitted.params));
    let mut layers = layers.collect::<Result<Vec<LinearHead>, ParamsError>>().map_err(ExecError::from)?;
    // The first layer takes features as they are.
    if let Some(first) = layers.first_mut() {
        let numbers = first.weight.data().iter().map(|weight| weight * scale).collect();
        first.weight = Tensor::new(first.weight.shape(), numbers);
    }
    let head = layers
        .pop()
        .filter(LinearHead::is_finite)
        .ok_or(fit::FitError::Diverged { step: fitted.progress.step, rate: options.learning_rate })?;
    Ok(LinearProbe {
        transform: FeatureTransform::PLAIN,
        hidden: layers,
        head,
        choice: None,
        out_of_fold: None,
        best_epoch: Some(fitted.progress.best.map_or(options.epochs, |best| best.epoch as usize)),
        history: fitted.progress.epoch_events(options.epochs),
    })
}

/// The hidden layers and the last, and which nodes have weights.
fn graph(width: usize, classes: usize) -> Result<(Graph, Vec<NodeId>), GraphError> {
    let mut builder = GraphBuilder::new("features", Shape::vector(width));
    let mut last = builder.input();
    for (number, step) in steps(width).into_iter().enumerate() {
        last = builder.push(&format!("hidden.{number}"), step, &[last])?;
    }
    last = builder.push("head", Linear::new(WIDTH, classes), &[last])?;
    let graph = builder.finish(last);
    let layers = graph.iter().filter(|(_, node)| matches!(node.op, Op::Linear(_))).map(|(id, _)| id).collect();
    Ok((graph, layers))
}

/// A layer's weight and bias.
fn of_node(graph: &Graph, layer: NodeId, params: &Params) -> Result<LinearHead, ParamsError> {
    let names = &graph.node(layer).params;
    let tensor = |name: &String| params.get(name).cloned().ok_or_else(|| ParamsError::Missing { name: name.clone() });
    Ok(LinearHead { weight: tensor(&names[0])?, bias: tensor(&names[1])? })
}

fn root_mean_square(numbers: &[f32]) -> f32 {
    let square = numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / numbers.len().max(1) as f64;
    if square > 0.0 { square.sqrt() as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Torchvision's VGG-16 has 138,357,544 weights, of which its convolutions have 14,714,688.
    #[test]
    fn the_weights_are_those_of_the_article_and_of_the_graph() {
        assert_eq!(weights(25088, 1000), 138_357_544 - 14_714_688);
        for (width, classes) in [(25088, 17), (512, 2)] {
            assert_eq!(graph(width, classes).unwrap().0.counts().parameters, weights(width, classes) as u64);
        }
    }
}
