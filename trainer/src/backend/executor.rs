//! The seam for a device: whatever computes a network owns its weights, gradients and optimizer state.

use std::borrow::Cow;
use std::collections::BTreeMap;

use models::preprocess::ImageBatch;
use models::{Graph, Params, Tensor};

use super::{ExecError, Parameter};
use crate::optim::{self, EmaOptions, Groups, OptimizerKind, ParamInfo, StateError, Step};

/// A network on a device. Weights, gradients, running statistics, averages and optimizer state live there; in a step only
/// images and the gradient of the logits go to the device, and only logits come back.
pub trait Executor: Send + Sync {
    /// Every parameter of the network, trained or not.
    fn parameters(&self) -> &[Parameter];

    /// Whether each of [`Executor::parameters`] is trained.
    fn trained(&self) -> &[bool];

    /// Numbers of the output for an image; for a classifier, its classes.
    fn outputs(&self) -> usize;

    /// `[n, outputs]` for images `[n, h, w, c]`, by the running statistics and without dropout.
    ///
    /// # Errors
    /// [`ExecError::Input`] when these are not whole images of the graph's size; any that the device raises.
    fn infer_nhwc(&self, images: &[f32]) -> Result<Vec<f32>, ExecError>;

    /// The same for an input `[n, …]` of the graph's shape, channels first, and with the output in the graph's shape.
    ///
    /// # Errors
    /// As [`Executor::infer_nhwc`].
    fn infer_nchw(&self, input: &Tensor) -> Result<Tensor, ExecError>;

    /// The same for prepared images.
    ///
    /// # Errors
    /// As [`Executor::infer_nhwc`].
    fn infer_batch(&self, batch: &ImageBatch) -> Result<Tensor, ExecError> {
        self.infer_nchw(&Tensor::new(batch.shape(), batch.data().to_vec()))
    }

    /// Logits `[n, outputs]` for images `[n, h, w, c]`, by the statistics of the batch and with dropout that the seed decides.
    /// Updates the running statistics, and keeps what [`Executor::backward`] needs.
    ///
    /// # Errors
    /// As [`Executor::infer_nhwc`].
    fn forward_train(&mut self, images: &[f32], seed: u64) -> Result<Vec<f32>, ExecError>;

    /// Adds the gradients of the last forward pass to those since the last [`Executor::apply`].
    ///
    /// # Errors
    /// [`ExecError::NoForwardPass`]; [`ExecError::Input`] for a gradient of another size than the logits.
    fn backward(&mut self, dlogits: &[f32]) -> Result<(), ExecError>;

    /// The Euclidean norm of all gradients since the last [`Executor::apply`].
    ///
    /// # Errors
    /// Any that the device raises.
    fn gradient_norm(&self) -> Result<f64, ExecError>;

    /// One step of the optimizer and of the averages; the gradients start at zero again.
    ///
    /// # Errors
    /// [`ExecError::NoUpdateRule`] for an executor that was opened without one.
    fn apply(&mut self, step: Step) -> Result<(), ExecError>;

    /// Exchanges weights and averages; a second call undoes it. Does nothing where no averages are kept.
    ///
    /// # Errors
    /// Any that the device raises.
    fn swap_averages(&mut self) -> Result<(), ExecError>;

    /// The weights as a state dict.
    ///
    /// # Errors
    /// Any that the device raises.
    fn read_weights(&self) -> Result<Params, ExecError>;

    /// Replaces the weights; optimizer state and averages stay.
    ///
    /// # Errors
    /// [`ExecError::State`] naming the first parameter that is missing or has another size.
    fn write_weights(&mut self, params: &Params) -> Result<(), ExecError>;

    /// The gradients since the last [`Executor::apply`], as a state dict of the trained parameters.
    ///
    /// # Errors
    /// Any that the device raises.
    fn read_gradients(&self) -> Result<Params, ExecError>;

    /// Everything that changes in training, for a checkpoint.
    ///
    /// # Errors
    /// Any that the device raises.
    fn read_state(&self) -> Result<State<'_>, ExecError>;

    /// Continues from a state of the same network and options: to the bit where the backend is the same too.
    ///
    /// # Errors
    /// [`ExecError::State`] naming the first entry that does not fit.
    fn write_state(&mut self, state: &State<'_>) -> Result<(), ExecError>;
}

/// Arrays by name, such as `weights/conv1.weight`, in the layers' layout, which all backends share.
pub type State<'a> = BTreeMap<String, Cow<'a, [f32]>>;

/// What an executor is opened for.
#[derive(Clone, Copy)]
pub struct ExecutorSpec<'a> {
    /// The network that is computed.
    pub graph: &'a Graph,
    /// Its first weights.
    pub params: &'a Params,
    /// Selects the trained parameters, of those that can be. Nothing is kept for the gradients before the first of them.
    pub trains: &'a dyn Fn(&Parameter) -> bool,
    /// How [`Executor::apply`] changes the weights; `None` for inference and gradients alone.
    pub update: Option<UpdateRule>,
}

/// How gradients change weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateRule {
    /// How a gradient becomes a step, with the numbers that belong to that.
    pub kind: OptimizerKind,
    /// Weight decay and learning rate by parameter.
    pub groups: Groups,
    /// Averages of the weights, if they are kept.
    pub ema: Option<EmaOptions>,
}

impl<'a> ExecutorSpec<'a> {
    /// A network that is not trained.
    #[must_use]
    pub fn frozen(graph: &'a Graph, params: &'a Params) -> Self {
        Self { graph, params, trains: &|_| false, update: None }
    }
}

impl UpdateRule {
    /// The ids of the parameters that it changes, and how.
    pub(super) fn settings(
        &self,
        graph: &Graph,
        parameters: &[Parameter],
        trained: &[bool],
    ) -> (Vec<usize>, Vec<optim::Parameter>) {
        let id = |name: &str| parameters.iter().position(|parameter| parameter.name == name);
        let infos = ParamInfo::of(graph).into_iter();
        let chosen = infos.filter_map(|info| Some((id(&info.name).filter(|&id| trained[id])?, info)));
        chosen.map(|(id, info)| (id, self.groups.parameter(&info))).unzip()
    }
}

/// Keys of a state: those of all backends, so that each goes on from the checkpoints of another.
pub(super) const WEIGHTS: &str = "weights/";
pub(super) const EMA: &str = "ema/";
pub(super) const EMA_UPDATES: &str = "ema_updates";
pub(super) const OPTIMIZER: &str = "optimiser/";

/// The numbers under a key of a state, as many as there have to be.
pub(super) fn entry<'s>(state: &'s State<'_>, key: &str, expected: usize) -> Result<&'s [f32], ExecError> {
    let numbers = state.get(key).ok_or_else(|| StateError::Missing { key: key.to_owned() })?;
    match numbers.len() == expected {
        true => Ok(numbers),
        false => Err(StateError::Length { key: key.to_owned(), expected, found: numbers.len() }.into()),
    }
}

/// What a state has under a prefix.
pub(super) fn part<'s, 'n>(state: &'s State<'n>, prefix: &str) -> BTreeMap<String, &'s Cow<'n, [f32]>> {
    state.iter().filter_map(|(key, numbers)| Some((key.strip_prefix(prefix)?.to_owned(), numbers))).collect()
}
