//! Stage 3: a linear head on the features.
//!
//! Every strategy begins with it: from a head that fits, layers of the base change less, and forget less (Kumar et al.
//! 2022). Recipes upon a pretrained network use it too.

pub(super) mod article;
mod design;
mod eigen;
mod exponential;
mod logistic;
mod preconditioner;
mod rows;
mod search;
mod sgd;
mod solution;
mod targets;
mod transform;

#[cfg(test)]
mod tests;

use models::ops::{Op, Shape};
use serde::{Deserialize, Serialize};

pub use search::OutOfFold;
pub use transform::{FeaturePooling, FeaturePower, FeatureScaling, FeatureTransform};

use super::FinetuneError;
use super::head::{HeadKind, HeadOptions, HeadSolver, LabeledFeatures, LinearHead};
use crate::data::LabelSets;
use crate::events::{Event, Observer};
use rows::SearchTask;
use search::{Candidate, SearchResult};

/// The most bytes of features for L-BFGS, which works on all of them at once and holds them up to three times.
const LBFGS_BYTES: usize = 2 << 30;

/// What a head is to learn.
#[derive(Debug, Clone, Copy)]
pub struct ProbeTask<'a> {
    /// The features to train on, at least one row: those of all views, one view after another.
    pub training: &'a LabeledFeatures,
    /// The features that choose the best epoch of SGD; without rows, the last epoch is kept.
    pub validation: &'a LabeledFeatures,
    /// The shape of an image's features.
    pub shape: &'a Shape,
    /// How many views of each image there are.
    pub views: usize,
    /// How many classes there are.
    pub classes: usize,
    /// Where classes stand beside each other, the sets whose numbers the features have for classes.
    pub sets: Option<&'a LabelSets>,
    /// What each class counts: of exclusive classes every image of it, of others an image that shows it against one that does
    /// not. Without it all count alike.
    pub weights: Option<&'a [f32]>,
    /// The transforms to choose from; without any, features are only standardized.
    pub transforms: &'a [FeatureTransform],
    /// How to train.
    pub options: HeadOptions,
}

/// A trained head.
#[derive(Debug, Clone)]
pub struct LinearProbe {
    /// What is done to features before the head takes them.
    pub transform: FeatureTransform,
    /// Layers with a ReLU behind each, which take the transformed features before the head does.
    pub hidden: Vec<LinearHead>,
    /// The head; of transformed features, or of the last hidden layer.
    pub head: LinearHead,
    /// How the transform was chosen; missing where nothing was.
    pub choice: Option<HeadChoice>,
    /// What heads of this kind said to images that they were not trained on; missing where nothing was chosen.
    pub out_of_fold: Option<OutOfFold>,
    /// The epoch that it is of, counted from one; missing where there are no epochs.
    pub best_epoch: Option<usize>,
    /// An [`Event::Epoch`] for each epoch.
    pub history: Vec<Event>,
}

/// How a head was chosen: by cross-validation on the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeadChoice {
    /// The training images that chose, each left out once.
    pub images: usize,
    /// All that were tried, the best first: the head is of this kind.
    pub candidates: Vec<HeadCandidate>,
}

/// A kind of head at its best strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeadCandidate {
    /// What is done to the features.
    #[serde(flatten)]
    pub transform: FeatureTransform,
    /// The mean square of the features' length over the penalty of all images: scikit-learn's `C` times the former, if each
    /// image has one view.
    pub strength: f64,
    /// How many images it was tried on: all, or fewer if it was clearly worse than the best on them. 0 in reports of versions
    /// before 0.3.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub images: usize,
    /// The share of the images that were classified correctly while they were left out, 0 to 1.
    pub top1: f64,
    /// The mean average precision, where images have several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub mean_average_precision: Option<f64>,
    /// Their mean cross-entropy.
    pub loss: f64,
}

/// Trains a linear classifier by softmax cross-entropy, or by the binary cross-entropy of each class.
///
/// All features are looked at together, by L-BFGS: transform and penalty are chosen by cross-validation, and no validation
/// images are needed. Where they are too many, or the options ask for it, by stochastic gradient descent.
///
/// ```
/// use models::ops::Shape;
/// use trainer::events::Unobserved;
/// use trainer::finetune::head::LabeledFeatures;
/// use trainer::finetune::{FinetuneOptions, ProbeTask, probe};
///
/// // One feature, whose sign is the class.
/// let training = LabeledFeatures { features: vec![-2.0, -1.0, 1.0, 2.0], classes: vec![0, 0, 1, 1] };
/// let shape = Shape::vector(1);
/// let task = ProbeTask {
///     training: &training,
///     validation: &LabeledFeatures::default(),
///     shape: &shape,
///     views: 1,
///     classes: 2,
///     sets: None,
///     weights: None,
///     transforms: &[],
///     options: FinetuneOptions::default().head(),
/// };
/// let trained = probe(&task, &mut Unobserved)?;
/// let logits = trained.logits(&shape, &[-1.5]);
/// assert!(logits[0] > logits[1]);
/// # Ok::<(), trainer::finetune::FinetuneError>(())
/// ```
///
/// # Errors
/// [`FinetuneError::Fit`] for options that make no sense, [`FinetuneError::Stopped`] when the observer asks for it.
pub fn probe(task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<LinearProbe, FinetuneError> {
    if task.options.kind == HeadKind::Article {
        return article::train(task, observer);
    }
    match task.options.solver {
        HeadSolver::Sgd => sgd::train(task, observer),
        HeadSolver::Auto if size_of_val(task.training.features.as_slice()) > LBFGS_BYTES => {
            let message = "the head is trained by SGD, because its features are too many for L-BFGS".to_owned();
            observer.event(Event::Note { message });
            sgd::train(task, observer)
        }
        HeadSolver::Auto | HeadSolver::Lbfgs => by_lbfgs(task, observer),
    }
}

/// Chooses and trains by L-BFGS.
fn by_lbfgs(task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<LinearProbe, FinetuneError> {
    let plain = [task.plain_transform()];
    let search = task.search(&plain);
    let SearchResult { candidates, out_of_fold } = search::search(&search, observer)?;
    let best = candidates.first();
    let transform = best.map_or(plain[0], |best| best.transform);
    let head = search::fit(&search, transform, best.map(|best| best.strength));
    let choice = best.map(|best| HeadChoice {
        images: best.images,
        candidates: candidates.iter().map(HeadCandidate::from).collect(),
    });
    let message = match &choice {
        Some(choice) => choice.to_string(),
        None => format!("the head takes {transform}: there are too few training images to choose another"),
    };
    observer.event(Event::Note { message });
    Ok(LinearProbe { transform, hidden: vec![], head, choice, out_of_fold, best_epoch: None, history: Vec::new() })
}

/// What heads by L-BFGS say to each training image when they are trained without it. `None` where there are too few images
/// to choose a kind of head.
///
/// # Errors
/// [`FinetuneError::Stopped`] when the observer asks for it.
pub fn out_of_fold(task: &ProbeTask<'_>, observer: &mut dyn Observer) -> Result<Option<OutOfFold>, FinetuneError> {
    let plain = [task.plain_transform()];
    let search = task.search(&plain);
    let SearchResult { candidates, out_of_fold } = search::search(&search, observer)?;
    let images = task.training.classes.len() / task.views;
    // Of many images only some choose.
    let complete = out_of_fold.filter(|out_of_fold| out_of_fold.images.len() == images);
    Ok(complete.or_else(|| Some(search::out_of_fold(&search, candidates.first()?))))
}

impl<'a> ProbeTask<'a> {
    /// The search among its transforms, or, where it has none, with this one alone.
    fn search(&self, plain: &'a [FeatureTransform]) -> SearchTask<'a> {
        SearchTask {
            training: self.training,
            shape: self.shape,
            views: self.views,
            transforms: if self.transforms.is_empty() { plain } else { self.transforms },
            classes: self.classes,
            sets: self.sets,
            weights: self.weights,
            smoothing: self.options.label_smoothing as f32,
            seed: self.options.seed,
        }
    }

    /// The transform where none is chosen.
    fn plain_transform(&self) -> FeatureTransform {
        self.transforms.first().copied().unwrap_or(FeatureTransform::PLAIN)
    }
}

impl LinearProbe {
    /// Logits `[n, classes]` for features `[n, shape]`.
    #[must_use]
    pub fn logits(&self, shape: &Shape, features: &[f32]) -> Vec<f32> {
        self.head.logits(&self.hidden(&self.transform.apply(shape, features)))
    }

    /// What the head takes, given transformed features.
    #[must_use]
    pub fn hidden(&self, features: &[f32]) -> Vec<f32> {
        self.hidden.iter().fold(features.to_vec(), |x, layer| {
            let mut y = layer.logits(&x);
            y.iter_mut().for_each(|y| *y = y.max(0.0));
            y
        })
    }

    /// The operators from features of this shape to the head.
    #[must_use]
    pub fn steps(&self, shape: &Shape) -> Vec<Op> {
        let hidden = if self.hidden.is_empty() { vec![] } else { article::steps(self.transform.pooling.width(shape)) };
        [self.transform.steps(shape), hidden].concat()
    }
}

impl From<&Candidate> for HeadCandidate {
    fn from(candidate: &Candidate) -> Self {
        let Candidate { transform, strength, images, top1, mean_average_precision, loss } = *candidate;
        Self { transform, strength, images, top1, mean_average_precision, loss }
    }
}

impl std::fmt::Display for HeadChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, candidates } = self;
        let Some(HeadCandidate { transform, top1, mean_average_precision, .. }) = candidates.first() else {
            return Ok(());
        };
        let result = match mean_average_precision {
            Some(precision) => format!("mAP {:.1} %", 100.0 * precision),
            None => format!("{:.1} %", 100.0 * top1),
        };
        write!(f, "the head takes {transform}: {result} in cross-validation on {images} training images")?;
        match candidates.len() {
            1 => Ok(()),
            tried => write!(f, ", the best of {tried} kinds"),
        }
    }
}
