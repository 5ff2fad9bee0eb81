//! Stage 3: a linear head on the features.
//!
//! Every strategy begins with it: from a head that fits, layers of the base change less, and forget less (Kumar et al.
//! 2022). Recipes upon a pretrained network use it too.

use models::graph::{Graph, GraphBuilder, GraphError, NodeId};
use models::ops::{Linear, Shape};
use models::{Params, Tensor};

use super::FinetuneError;
use super::head::{HeadOptions, LabeledFeatures, LinearHead, Standardization};
use super::outcome::epochs;
use crate::backend::ComputeBackend;
use crate::events::{Event, Observer};
use crate::fit::metrics::Evaluation;
use crate::fit::{self, Examples, FeatureExamples, FitOptions, LossOptions, TieBreak};
use crate::optim::schedule::Schedule;
use crate::optim::{Groups, OptimizerKind};

/// What a head is to learn.
#[derive(Debug, Clone, Copy)]
pub struct ProbeTask<'a> {
    /// The features to train on; at least one row.
    pub training: &'a LabeledFeatures,
    /// The features that choose the best epoch; without rows, the last epoch is kept.
    pub validation: &'a LabeledFeatures,
    /// How many classes there are.
    pub classes: usize,
    /// How to train.
    pub options: HeadOptions,
}

/// The head of the best epoch.
#[derive(Debug, Clone)]
pub struct LinearProbe {
    /// The head; it takes features as they are.
    pub head: LinearHead,
    /// The epoch that it is of, counted from one.
    pub best_epoch: usize,
    /// Its result on the validation features.
    pub validation: Evaluation,
    /// An [`Event::Epoch`] for each epoch.
    pub history: Vec<Event>,
}

/// Trains a linear classifier by softmax cross-entropy and keeps the epoch that does best on the validation features, of
/// equals the last: the learning rate falls, so later epochs are the more settled ones.
///
/// The training works on standardized features, because backbones differ by orders of magnitude in what they emit. Mean and
/// deviation are folded into the head afterwards.
///
/// ```
/// use trainer::events::Unobserved;
/// use trainer::finetune::head::LabeledFeatures;
/// use trainer::finetune::{FinetuneOptions, ProbeTask, probe};
///
/// // One feature, whose sign is the class.
/// let training = LabeledFeatures { features: vec![-2.0, -1.0, 1.0, 2.0], classes: vec![0, 0, 1, 1] };
/// let task = ProbeTask {
///     training: &training,
///     validation: &training,
///     classes: 2,
///     options: FinetuneOptions::default().head(),
/// };
/// let trained = probe(&task, &mut Unobserved)?;
/// assert_eq!(trained.validation.top1, 1.0);
/// let logits = trained.head.logits(&[-1.5]);
/// assert!(logits[0] > logits[1]);
/// # Ok::<(), trainer::finetune::FinetuneError>(())
/// ```
///
/// # Errors
/// [`FinetuneError::Fit`] for options that make no sense, [`FinetuneError::Stopped`] when the observer asks for it.
pub fn probe(task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<LinearProbe, FinetuneError> {
    let ProbeTask { training, validation, classes, options } = *task;
    let scale = Standardization::of(training);
    let (graph, head) = linear(training.width(), classes)?;
    let names = &graph.node(head).params;
    let zeros = |shape: Vec<usize>| Tensor::new(shape.clone(), vec![0.0; shape.iter().product()]);
    let start = [zeros(vec![classes, training.width()]), zeros(vec![classes])];
    let params: Params = names.iter().cloned().zip(start.clone()).collect();
    let examples =
        |table: &LabeledFeatures| FeatureExamples::new(vec![scale.apply(table)], table.classes.clone(), options.seed);
    let (training_examples, validation_examples) = (examples(training), examples(validation));
    let fit_options = fit_options(&options, training.classes.len());
    let fitted = fit::fit(
        fit::Task {
            graph: &graph,
            params: &params,
            trains: &|_| true,
            training: &training_examples,
            validation: (!validation.classes.is_empty()).then_some(&validation_examples as &dyn Examples),
            options: &fit_options,
            backend: &ComputeBackend::Rust,
            checkpoints: None,
            logs: fit::Logs::default(),
        },
        observer,
    )?;
    let [weight, bias] = [0, 1].map(|at| fitted.params.get(&names[at]).unwrap_or(&start[at]).clone());
    let head = scale.fold(&LinearHead { weight, bias });
    if !head.weight.data().iter().chain(head.bias.data()).all(|number| number.is_finite()) {
        let rate = options.learning_rate;
        return Err(fit::FitError::Diverged { step: fitted.progress.step, rate }.into());
    }
    Ok(LinearProbe {
        best_epoch: fitted.progress.best.map_or(options.epochs, |best| best.epoch as usize),
        validation: Evaluation::new(&head.logits(&validation.features), &validation.classes, classes),
        history: epochs(&fitted.progress, options.epochs),
        head,
    })
}

/// A network that is one linear layer.
fn linear(width: usize, classes: usize) -> Result<(Graph, NodeId), GraphError> {
    let mut builder = GraphBuilder::new("features", Shape::new(vec![width]));
    let input = builder.input();
    let head = builder.push("head", Linear::new(width, classes), &[input])?;
    Ok((builder.finish(head), head))
}

fn fit_options(options: &HeadOptions, examples: usize) -> FitOptions {
    let HeadOptions { epochs, batch_size, learning_rate, weight_decay, label_smoothing, seed } = *options;
    let fit = FitOptions {
        epochs: epochs as u64,
        batch_size,
        optimizer: OptimizerKind::Sgd { momentum: 0.9, nesterov: true },
        groups: Groups { weight_decay, ..Groups::default() },
        loss: LossOptions { label_smoothing, class_weights: None },
        ties: TieBreak::Later,
        seed,
        ..FitOptions::default()
    };
    let steps = fit.epochs * fit.steps_per_epoch(examples);
    FitOptions { schedule: Schedule::Cosine { rate: learning_rate, end: 0.0, steps }, ..fit }
}
