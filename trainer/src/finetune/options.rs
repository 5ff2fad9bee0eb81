//! The options of a fine-tuning run: the library's type, the JSON of reports, jobs and HTTP, and the flags of the command
//! line, all in one.

use models::preprocess::Limits;
use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeighting;
use super::{FinetuneError, FinetuneStrategy, ImageDecoding};
use crate::data::augment::AugmentationPolicy;
use crate::data::{BadFilePolicy, Dataset, Fractions, Partition, Sample, Split};
use crate::finetune::head::{HeadKind, HeadOptions, HeadSolver};
use crate::options::{self, Bound, Interval};
use crate::quantize::ModelPrecision;

/// How to train; each option has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct FinetuneOptions {
    /// How much of the base is trained.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_STRATEGY", value_enum, default_value_t))]
    pub strategy: FinetuneStrategy,

    /// Fixed views of each training image whose features are computed: plain, mirrored, then crops.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_VIEWS", default_value_t = Self::default().views))]
    pub views: usize,

    /// How layers of the base are trained, if the strategy trains any.
    #[cfg_attr(feature = "clap", command(flatten))]
    pub tuning: TuningOptions,

    /// What the head is: one linear layer, or VGG's three with dropout.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_HEAD", value_enum, default_value_t))]
    pub head: HeadKind,

    /// How the weights of a linear head are found.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_HEAD_SOLVER", value_enum, default_value_t))]
    pub head_solver: HeadSolver,

    /// Passes of the head over the features, by SGD; of the article's head 30 where nothing else is set.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_EPOCHS", default_value_t = Self::default().epochs))]
    pub epochs: usize,

    /// Images in one step of the head, by SGD.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_BATCH_SIZE", default_value_t = Self::default().batch_size))]
    pub batch_size: usize,

    /// The head's initial learning rate by SGD; it falls to zero along a cosine.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_LEARNING_RATE", default_value_t = Self::default().learning_rate))]
    pub learning_rate: f64,

    /// L2 penalty on the head's weights by SGD while the head is trained alone; of the article's head 5e-4 where nothing else is
    /// set.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_WEIGHT_DECAY", default_value_t = Self::default().weight_decay))]
    pub weight_decay: f64,

    /// The share of each target that is spread over all classes.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_LABEL_SMOOTHING", default_value_t = Self::default().label_smoothing))]
    pub label_smoothing: f64,

    /// What an image of each class counts: `none` all alike, `balanced` so much that all classes count alike, or numbers for
    /// some classes, as in `rose=3,tulip=0.5`.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "GRAFT_CLASS_WEIGHTS", value_name = "none|balanced|CLASS=N,...", default_value_t)
    )]
    pub class_weights: ClassWeighting,

    /// Seeds the split and the order of the images.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_SEED", default_value_t = Self::default().seed))]
    pub seed: u64,

    /// The share of each class that chooses the best epoch; with 0 the last epoch is kept. A head by L-BFGS alone needs none,
    /// and takes none.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_VALIDATION", default_value_t = Self::default().validation))]
    pub validation: f64,

    /// The share of sure answers that is to be right: whoever serves the model marks the others as uncertain.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_TARGET_PRECISION", default_value_t = Self::default().target_precision))]
    pub target_precision: f64,

    /// Into how many parts the images are divided, each of which measures a model that is trained on the others, so that every
    /// image is tested once; the model itself is trained on all of them. 1 for one part that measures. For few images; training
    /// takes so many times as long.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_FOLDS", default_value_t = Self::default().folds))]
    pub folds: usize,

    /// The share of each class that measures the result.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_TEST", default_value_t = Self::default().test))]
    pub test: f64,

    /// In which variants the model is stored: `f32` as trained, `auto` with 8-bit integers as well, measured on the test images, so
    /// that the server can take the fastest that is good enough. `auto` needs ONNX Runtime.
    #[cfg_attr(
        feature = "clap",
        arg(
            id = "model_precision",
            long = "model-precision",
            env = "GRAFT_MODEL_PRECISION",
            value_enum,
            default_value_t
        )
    )]
    pub precision: ModelPrecision,

    /// How large JPEGs are decoded, in training and by whoever serves the model: `base` as those of the base, `exact` every pixel, `scaled`
    /// at a fraction of the size that keeps twice what the network needs, for photographs of many megapixels.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_DECODING", value_enum, default_value_t))]
    pub decoding: ImageDecoding,

    /// What to do with images that cannot be read.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_BAD_FILES", value_enum, default_value_t))]
    pub bad_files: BadFilePolicy,

    /// The largest image that is read, in millions of pixels. Decoding takes up to 16 bytes for each pixel and thread.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_FINETUNE_MAX_MEGAPIXELS", default_value_t = Self::default().max_megapixels))]
    pub max_megapixels: u64,
}

/// How layers of the base are trained, if the strategy trains any.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::Args), command(next_help_heading = "Training layers of the base"))]
pub struct TuningOptions {
    /// Passes over the training images.
    #[cfg_attr(
        feature = "clap",
        arg(id = "tuning_epochs", long = "tuning-epochs", env = "GRAFT_TUNING_EPOCHS", default_value_t = Self::default().epochs)
    )]
    pub epochs: u64,

    /// Images in one step.
    #[cfg_attr(
        feature = "clap",
        arg(id = "tuning_batch_size", long = "tuning-batch-size", env = "GRAFT_TUNING_BATCH_SIZE", default_value_t = Self::default().batch_size)
    )]
    pub batch_size: usize,

    /// The peak learning rate: it warms up over the first twentieth of the steps, then falls to zero along a cosine.
    #[cfg_attr(
        feature = "clap",
        arg(id = "tuning_learning_rate", long = "tuning-learning-rate", env = "GRAFT_TUNING_LEARNING_RATE", default_value_t = Self::default().learning_rate)
    )]
    pub learning_rate: f64,

    /// L2 penalty on the weights of convolutions and linear layers.
    #[cfg_attr(
        feature = "clap",
        arg(id = "tuning_weight_decay", long = "tuning-weight-decay", env = "GRAFT_TUNING_WEIGHT_DECAY", default_value_t = Self::default().weight_decay)
    )]
    pub weight_decay: f64,

    /// The factor by which a layer's learning rate is below that of the next layer towards the output.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_LAYER_DECAY", default_value_t = Self::default().layer_decay))]
    pub layer_decay: f64,

    /// How many of the last stages are trained; a stage is the layers that work at one image size.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_STAGES", default_value_t = Self::default().stages))]
    pub stages: usize,

    /// The random changes to training images.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_AUGMENTATION", value_enum, default_value_t = Self::default().augmentation))]
    pub augmentation: AugmentationPolicy,
}

impl Default for FinetuneOptions {
    fn default() -> Self {
        Self {
            strategy: FinetuneStrategy::Head,
            views: 1,
            head: HeadKind::Linear,
            head_solver: HeadSolver::Auto,
            tuning: TuningOptions::default(),
            epochs: 60,
            batch_size: 64,
            learning_rate: 0.01,
            weight_decay: 0.03,
            label_smoothing: 0.1,
            class_weights: ClassWeighting::None,
            seed: 0,
            validation: 0.05,
            target_precision: 0.99,
            folds: 1,
            test: 0.25,
            precision: ModelPrecision::F32,
            decoding: ImageDecoding::Base,
            bad_files: BadFilePolicy::default(),
            max_megapixels: options::MAX_MEGAPIXELS,
        }
    }
}

impl Default for TuningOptions {
    fn default() -> Self {
        Self {
            epochs: 12,
            batch_size: 32,
            learning_rate: 0.01,
            weight_decay: 1e-4,
            layer_decay: 0.9,
            stages: 1,
            augmentation: AugmentationPolicy::Standard,
        }
    }
}

/// Of the article's head, where nothing else is asked for.
const ARTICLE_EPOCHS: usize = 30;
const ARTICLE_WEIGHT_DECAY: f64 = 5e-4;

/// The largest integer that every JSON parser keeps: 2^53 - 1.
const LARGEST_SEED: f64 = 9_007_199_254_740_991.0;

impl FinetuneOptions {
    /// The bounds of the numeric options. Both [`validate`](Self::validate) and the HTTP schema come from this table.
    pub const BOUNDS: &[Bound<Self>] = &[
        Bound::new("views", Interval::at_least(1.0).at_most(64.0), "from 1 to 64", |options| options.views as f64),
        Bound::new("epochs", Interval::at_least(1.0).at_most(1e6), "from 1 to 1000000", |options| {
            options.epochs as f64
        }),
        Bound::new("batch_size", Interval::at_least(1.0).at_most(65536.0), "from 1 to 65536", |options| {
            options.batch_size as f64
        }),
        Bound::new("learning_rate", Interval::above(0.0).at_most(1000.0), "above 0 and 1000 at most", |options| {
            options.learning_rate
        }),
        Bound::new("weight_decay", Interval::at_least(0.0).at_most(1000.0), "from 0 to 1000", |options| {
            options.weight_decay
        }),
        Bound::new("seed", Interval::at_least(0.0).at_most(LARGEST_SEED), "from 0 to 9007199254740991", |options| {
            options.seed as f64
        }),
        Bound::new("label_smoothing", Interval::at_least(0.0).below(1.0), "a share from 0 to 1", |options| {
            options.label_smoothing
        }),
        Bound::new("validation", Interval::at_least(0.0).below(0.9), "a share from 0 to 0.9", |options| {
            options.validation
        }),
        Bound::new("target_precision", Interval::at_least(0.5).at_most(1.0), "a share from 0.5 to 1", |options| {
            options.target_precision
        }),
        Bound::new("test", Interval::at_least(0.0).below(0.9), "a share from 0 to 0.9", |options| options.test),
        Bound::new("folds", Interval::at_least(1.0).at_most(20.0), "from 1 to 20", |options| options.folds as f64),
        Bound::new("max_megapixels", Interval::at_least(1.0).at_most(1000.0), "from 1 to 1000", |options| {
            options.max_megapixels as f64
        }),
    ];

    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// [`FinetuneError::Option`] naming the first option that is out of bounds.
    pub fn validate(&self) -> Result<(), FinetuneError> {
        options::check_bounds(TuningOptions::BOUNDS, &self.tuning)?;
        options::check_bounds(Self::BOUNDS, self)?;
        let measured = (self.validation + self.test < 0.9, "validation", "together with `test` less than 0.9");
        let weighted = (self.class_weights.is_positive(), "class_weights", "positive numbers, from 1e-6 to 1e6");
        Ok(options::check(&[measured, weighted])?)
    }

    /// The shares of the subsets that the data set does not give.
    #[must_use]
    pub fn partition(&self) -> Partition {
        let by_epochs = self.head == HeadKind::Article || self.solver() == HeadSolver::Sgd;
        let epochs = self.strategy != FinetuneStrategy::Head || by_epochs;
        Partition::Fractions(Fractions { validation: if epochs { self.validation } else { 0.0 }, test: self.test })
    }

    /// Which of these images train, choose the epoch and measure. With folds none measures: all train in the end.
    #[must_use]
    pub fn split<'a>(&self, dataset: &Dataset, samples: impl IntoIterator<Item = &'a Sample>) -> Split {
        let mut split = dataset.split_of(samples, self.partition(), self.seed);
        if self.folds > 1 {
            split.train.append(&mut split.test);
            split.train.sort_unstable();
        }
        split
    }

    /// How large an image may be.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::megapixels(self.max_megapixels)
    }

    /// How the head's weights are found: by SGD where any of its options is set, if nothing else is asked for.
    #[must_use]
    pub fn solver(&self) -> HeadSolver {
        let numbers = |options: &Self| {
            (options.epochs, options.batch_size, options.learning_rate.to_bits(), options.weight_decay.to_bits())
        };
        match self.head_solver {
            HeadSolver::Auto if numbers(self) != numbers(&Self::default()) => HeadSolver::Sgd,
            solver => solver,
        }
    }

    /// The options of the head alone.
    #[must_use]
    pub fn head(&self) -> HeadOptions {
        let usual = Self::default();
        // The article's head has defaults of its own: fewer passes, since each takes long, and its weight decay.
        let article = self.head == HeadKind::Article;
        let epochs = if article && self.epochs == usual.epochs { ARTICLE_EPOCHS } else { self.epochs };
        let own_decay = article && self.weight_decay == usual.weight_decay;
        HeadOptions {
            kind: self.head,
            solver: self.solver(),
            epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: if own_decay { ARTICLE_WEIGHT_DECAY } else { self.weight_decay },
            label_smoothing: self.label_smoothing,
            seed: self.seed,
        }
    }
}

impl TuningOptions {
    /// As [`FinetuneOptions::BOUNDS`]; the names carry the path from there.
    pub const BOUNDS: &[Bound<Self>] = &[
        Bound::new("tuning.epochs", Interval::at_least(1.0).at_most(1e5), "from 1 to 100000", |tuning| {
            tuning.epochs as f64
        }),
        Bound::new("tuning.batch_size", Interval::at_least(1.0).at_most(4096.0), "from 1 to 4096", |tuning| {
            tuning.batch_size as f64
        }),
        Bound::new(
            "tuning.learning_rate",
            Interval::above(0.0).at_most(1000.0),
            "above 0 and 1000 at most",
            |tuning| tuning.learning_rate,
        ),
        Bound::new("tuning.weight_decay", Interval::at_least(0.0).at_most(1000.0), "from 0 to 1000", |tuning| {
            tuning.weight_decay
        }),
        Bound::new("tuning.layer_decay", Interval::above(0.0).at_most(1.0), "above 0 and 1 at most", |tuning| {
            tuning.layer_decay
        }),
        Bound::new("tuning.stages", Interval::at_least(1.0).at_most(1000.0), "from 1 to 1000", |tuning| {
            tuning.stages as f64
        }),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(options: &FinetuneOptions) -> String {
        options.validate().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_valid_and_numbers_out_of_bounds_are_named() {
        let defaults = FinetuneOptions::default();
        defaults.validate().unwrap();
        FinetuneOptions { views: 64, label_smoothing: 0.0, validation: 0.0, ..defaults.clone() }.validate().unwrap();
        assert_eq!(refusal(&FinetuneOptions { views: 65, ..defaults.clone() }), "`views` must be from 1 to 64");
        assert_eq!(
            refusal(&FinetuneOptions { learning_rate: 0.0, ..defaults.clone() }),
            "`learning_rate` must be above 0 and 1000 at most"
        );
        assert_eq!(
            refusal(&FinetuneOptions { weight_decay: f64::INFINITY, ..defaults.clone() }),
            "`weight_decay` must be from 0 to 1000"
        );
        assert_eq!(
            refusal(&FinetuneOptions { label_smoothing: 1.0, ..defaults.clone() }),
            "`label_smoothing` must be a share from 0 to 1"
        );
        assert_eq!(
            refusal(&FinetuneOptions { validation: 0.5, test: 0.4, ..defaults.clone() }),
            "`validation` must be together with `test` less than 0.9"
        );
        let tuning = TuningOptions { layer_decay: f64::NAN, ..TuningOptions::default() };
        assert_eq!(
            refusal(&FinetuneOptions { tuning, ..defaults.clone() }),
            "`tuning.layer_decay` must be above 0 and 1 at most"
        );
    }

    #[test]
    fn a_head_that_has_no_epochs_takes_no_validation_images() {
        let validation = |options: &FinetuneOptions| match options.partition() {
            Partition::Fractions(Fractions { validation, .. }) => validation,
            Partition::Counts(_) => panic!("shares"),
        };
        let defaults = FinetuneOptions::default();
        assert_eq!(validation(&defaults), 0.0);
        assert_eq!(validation(&FinetuneOptions { head_solver: HeadSolver::Sgd, ..defaults.clone() }), 0.05);
        assert_eq!(validation(&FinetuneOptions { strategy: FinetuneStrategy::Staged, ..defaults.clone() }), 0.05);
        // Whoever sets epochs means them.
        assert_eq!(validation(&FinetuneOptions { epochs: 20, ..defaults.clone() }), 0.05);
        assert_eq!(
            validation(&FinetuneOptions { epochs: 20, head_solver: HeadSolver::Lbfgs, ..defaults.clone() }),
            0.0
        );
    }

    #[test]
    fn every_number_has_an_upper_bound_that_its_refusal_names() {
        let defaults = FinetuneOptions::default();
        let tuning = TuningOptions::default();
        let tuned = |tuning| FinetuneOptions { tuning, ..defaults.clone() };
        let huge = 1 << 63;
        let (count, seed) = (usize::MAX, u64::MAX);
        let refused = [
            (FinetuneOptions { epochs: 1_000_000_000_000_000, ..defaults.clone() }, "1000000"),
            (FinetuneOptions { batch_size: count, ..defaults.clone() }, "65536"),
            (FinetuneOptions { learning_rate: 1e308, ..defaults.clone() }, "1000"),
            (FinetuneOptions { weight_decay: 1e308, ..defaults.clone() }, "1000"),
            (FinetuneOptions { seed, ..defaults.clone() }, "9007199254740991"),
            (FinetuneOptions { seed: 1 << 53, ..defaults.clone() }, "9007199254740991"),
            (tuned(TuningOptions { epochs: huge, ..tuning }), "100000"),
            (tuned(TuningOptions { batch_size: count, ..tuning }), "4096"),
            (tuned(TuningOptions { learning_rate: 1e308, ..tuning }), "1000"),
            (tuned(TuningOptions { weight_decay: 1e308, ..tuning }), "1000"),
            (tuned(TuningOptions { stages: count, ..tuning }), "1000"),
        ];
        for (options, bound) in refused {
            let refusal = refusal(&options);
            assert!(refusal.contains(bound), "{refusal}");
        }
        assert!(FinetuneOptions::BOUNDS.iter().all(|bound| bound.interval.upper.is_some()));
        assert!(TuningOptions::BOUNDS.iter().all(|bound| bound.interval.upper.is_some()));
        FinetuneOptions { epochs: 1_000_000, seed: (1 << 53) - 1, ..defaults.clone() }.validate().unwrap();
    }
}
