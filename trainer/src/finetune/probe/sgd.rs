//! A head by stochastic gradient descent, for features that are too many to be looked at together.

use models::graph::{Graph, GraphBuilder, GraphError, NodeId};
use models::ops::{Linear, Shape};
use models::{Params, Tensor};

use super::{LinearProbe, ProbeTask};
use crate::backend::ComputeBackend;
use crate::events::Observer;
use crate::finetune::FinetuneError;
use crate::finetune::head::{HeadOptions, LabeledFeatures, LinearHead, Standardization};
use crate::fit::{self, ClassWeights, Examples, FeatureExamples, FitOptions, LossOptions, TieBreak};
use crate::optim::schedule::Schedule;
use crate::optim::{Groups, OptimizerKind};

/// Trains by softmax cross-entropy and keeps the epoch that does best on the validation features, of equals the last: the
/// learning rate falls, so later epochs are the more settled ones.
///
/// The training works on standardized features, because backbones differ by orders of magnitude in what they emit. Mean and
/// deviation are folded into the head afterwards.
pub(super) fn train(task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<LinearProbe, FinetuneError> {
    let ProbeTask { shape, classes, options, .. } = *task;
    let transform = task.plain_transform();
    let transformed = |table: &LabeledFeatures| LabeledFeatures {
        features: transform.apply(shape, &table.features),
        classes: table.classes.clone(),
    };
    let (training, validation) = (transformed(task.training), transformed(task.validation));
    let scale = Standardization::of(&training);
    let width = transform.pooling.width(shape);
    let (graph, head) = linear(width, classes)?;
    let names = &graph.node(head).params;
    let zeros = |shape: Vec<usize>| Tensor::new(shape.clone(), vec![0.0; shape.iter().product()]);
    let start = [zeros(vec![classes, width]), zeros(vec![classes])];
    let params: Params = names.iter().cloned().zip(start.clone()).collect();
    let examples =
        |table: &LabeledFeatures| FeatureExamples::new(vec![scale.apply(table)], table.classes.clone(), options.seed);
    let (training, validation) = (examples(&training), examples(&validation));
    let run = HeadTraining { graph: &graph, params: &params, training, validation };
    let fitted = run.fit(task, observer)?;
    let [weight, bias] = [0, 1].map(|at| fitted.params.get(&names[at]).unwrap_or(&start[at]).clone());
    let head = scale.fold(&LinearHead { weight, bias });
    if !head.is_finite() {
        let rate = options.learning_rate;
        return Err(fit::FitError::Diverged { step: fitted.progress.step, rate }.into());
    }
    Ok(LinearProbe {
        transform,
        hidden: vec![],
        head,
        choice: None,
        out_of_fold: None,
        best_epoch: Some(fitted.progress.best.map_or(options.epochs, |best| best.epoch as usize)),
        history: fitted.progress.epoch_events(options.epochs),
    })
}

/// A network that is one linear layer.
fn linear(width: usize, classes: usize) -> Result<(Graph, NodeId), GraphError> {
    let mut builder = GraphBuilder::new("features", Shape::new(vec![width]));
    let input = builder.input();
    let head = builder.push("head", Linear::new(width, classes), &[input])?;
    Ok((builder.finish(head), head))
}

/// A network from features to logits, and what it learns from.
pub(super) struct HeadTraining<'a> {
    pub(super) graph: &'a Graph,
    /// Its weights at the start.
    pub(super) params: &'a Params,
    pub(super) training: FeatureExamples,
    /// Choose the epoch, if there are any.
    pub(super) validation: FeatureExamples,
}

impl HeadTraining<'_> {
    pub(super) fn fit(&self, task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<fit::Fitted, fit::FitError> {
        let Self { training, validation, .. } = self;
        let options = fit_options(task, training.classes().len());
        fit::fit(
            fit::Task {
                graph: self.graph,
                params: self.params,
                trains: &|_| true,
                training,
                label_sets: task.sets,
                teacher: None,
                validation: (!validation.classes().is_empty()).then_some(validation as &dyn Examples),
                options: &options,
                backend: &ComputeBackend::Rust,
                checkpoints: None,
                logs: fit::Logs::default(),
            },
            observer,
        )
    }
}

/// How a head is trained on so many examples.
fn fit_options(task: &ProbeTask<'_>, examples: usize) -> FitOptions {
    let HeadOptions { epochs, batch_size, learning_rate, weight_decay, label_smoothing, seed, .. } = task.options;
    let class_weights = task.weights.map(|weights| ClassWeights::Listed(weights.to_vec()));
    let fit = FitOptions {
        epochs: epochs as u64,
        batch_size,
        optimizer: OptimizerKind::Sgd { momentum: 0.9, nesterov: true },
        groups: Groups { weight_decay, ..Groups::default() },
        loss: LossOptions { label_smoothing, class_weights },
        ties: TieBreak::Later,
        seed,
        ..FitOptions::default()
    };
    let steps = fit.epochs * fit.steps_per_epoch(examples);
    FitOptions { schedule: Schedule::Cosine { rate: learning_rate, end: 0.0, steps }, ..fit }
}
