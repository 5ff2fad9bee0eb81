//! Whole trainings as files: the network, its images, and every number of the training.
//!
//! Those that are checked in reproduce published trainings, and each says in its head what it reproduces and where that
//! is hard. `trainer/recipes/README.md` describes the format.

mod base;
mod builtin;
mod document;
mod error;
mod graft;
mod plan;
mod run;
mod settings;
mod teacher;
#[cfg(test)]
mod tests;
pub mod tflearn;

use std::path::Path;

use models::init::Scheme;
use models::preprocess::{Crop, Filter, Resize};
use models::{Preprocess, zoo};
use serde::{Deserialize, Serialize};

pub use builtin::{BUILTIN, BuiltinRecipe, find};
pub use document::RecipeParameter;
pub use error::{RecipeError, TeacherError};
pub use plan::{LoadOptions, Plan, PlanCounts};
pub use run::{OpenRun, Resume, RunFolder, RunPaths, RunResult};
pub use settings::{Setting, SettingError};
pub use teacher::{Teacher, TeacherOptions};

use crate::data::augment::Augmentation;
use crate::finetune::FinetuneStrategy;
use crate::fit::FitOptions;
use crate::options;

/// A whole training: the network, how images are prepared, and every number of the optimization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// A one-line description.
    pub summary: String,
    /// The network that is trained from the beginning, as [`zoo`] names it.
    #[serde(default)]
    pub network: Option<String>,
    /// How its first weights are drawn.
    #[serde(default, rename = "initialisation")]
    pub initialization: Scheme,
    /// The pretrained network that is grafted upon, instead of `network`.
    #[serde(default)]
    pub base: Option<String>,
    /// How much of it is trained; everything where nothing is said.
    #[serde(default)]
    pub strategy: Option<FinetuneStrategy>,
    /// How many of its last stages are, where the strategy is `staged`; one where nothing is said. Others do not ask.
    #[serde(default)]
    pub stages: Option<usize>,
    /// A trained classifier whose answers the network learns beside the classes.
    #[serde(default)]
    pub teacher: Option<TeacherOptions>,
    /// How images are prepared for a network that is trained from the beginning. A base knows it itself.
    #[serde(default)]
    pub input: Option<InputOptions>,
    /// What is done to training images at random.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// What chooses the best epoch.
    #[serde(default)]
    pub validation: ValidationSource,
    /// Whether the data set's own subsets are kept.
    #[serde(default, rename = "parts")]
    pub subsets: SubsetPolicy,
    /// The unit of the schedule's counts.
    #[serde(default)]
    pub schedule_unit: ScheduleUnit,
    /// Every number of the training.
    #[serde(default)]
    pub training: FitOptions,
    /// The files and the output of the run.
    #[serde(default)]
    pub run: RunOptions,
}

/// How images are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputOptions {
    /// Height and width of what the network takes, in pixels.
    pub size: [u32; 2],
    /// How images are brought to that size.
    #[serde(default)]
    pub fit: ResizeMode,
    /// The resampling filter.
    #[serde(default = "bilinear")]
    pub filter: Filter,
    /// What is subtracted from pixels and what they are divided by.
    pub values: InputValues,
}

/// How an image comes to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// Resizes the image, ignoring its aspect ratio.
    #[default]
    Squash,
    /// Resizes the shorter side to this many pixels, then crops the center.
    ShorterSide(u32),
}

/// The numbers that the network sees. All are computed by its first node, so that the file of weights has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputValues {
    /// Pixel levels, `0..=255`.
    Levels,
    /// Pixel levels divided by 255, `0..=1`.
    Unit,
    /// `0..=1` less the mean over the training images, each channel by itself: tflearn's
    /// `add_featurewise_zero_center(per_channel=True)`.
    #[serde(rename = "zero-centre-per-channel")]
    ZeroCenterPerChannel,
    /// `0..=1` less one mean of all channels: `add_featurewise_zero_center()`.
    #[serde(rename = "zero-centre")]
    ZeroCenter,
    /// As torchvision's networks have it: ImageNet's mean and deviation.
    #[serde(rename = "imagenet")]
    ImageNet,
}

/// What chooses the best epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationSource {
    /// Nothing: the last weights are kept.
    #[default]
    None,
    /// The data set's test part, as tflearn's examples do. What it then says is better than the truth.
    Test,
    /// This share of each class, 0..1, or the data set's own validation part.
    Share(f64),
    /// So many images of each class, or the data set's own validation part.
    PerClass(usize),
}

/// Whether a data set's own subsets (`train`, `val`, `test`) are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubsetPolicy {
    /// Keeps them: test images never train.
    #[default]
    Given,
    /// Ignores them and splits all images anew.
    Ignored,
}

/// The unit of a schedule's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleUnit {
    /// Counts are of steps.
    #[default]
    Steps,
    /// Counts are of epochs, each of as many steps as this data set makes.
    Epochs,
}

/// The files and the output of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// The name of its folder; without one, the recipe's.
    pub id: Option<String>,
    /// Whether the accuracy is shown while it trains.
    pub show_metric: bool,
    /// The folder of its checkpoints in its own.
    pub checkpoints: String,
    /// The name of the file of the best weights, without `.onnx`.
    pub model: String,
    /// The validation accuracy, 0..1, below which no such file is written.
    pub least_accuracy: Option<f64>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            id: None,
            show_metric: true,
            checkpoints: "checkpoints".to_owned(),
            model: "model".to_owned(),
            least_accuracy: None,
        }
    }
}

fn bilinear() -> Filter {
    Filter::Bilinear
}

impl Recipe {
    /// The recipe of this name, or in this file, with these settings, and the name that its runs have by default.
    ///
    /// # Errors
    /// [`RecipeError`] for a name that is none, a file that cannot be read, or options that are not understood.
    pub fn open(name_or_file: &str, settings: &[Setting]) -> Result<(String, Self), RecipeError> {
        if let Some(named) = find(name_or_file) {
            return Ok((named.name.to_owned(), Self::parse(named.text, settings)?));
        }
        let path = Path::new(name_or_file);
        if !path.is_file() {
            return Err(RecipeError::unknown(name_or_file));
        }
        let failed = |source| RecipeError::Io { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or("recipe");
        Ok((name.to_owned(), Self::parse(&text, settings)?))
    }

    /// A recipe as it is written, with these settings in the place of what it says itself.
    ///
    /// # Errors
    /// [`RecipeError`] for text that is no recipe and settings that it does not have.
    pub fn parse(text: &str, settings: &[Setting]) -> Result<Self, RecipeError> {
        let recipe = document::read(text, settings)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// Whether it makes sense, as far as that can be said without images.
    ///
    /// # Errors
    /// [`RecipeError`] naming the option that does not.
    pub fn validate(&self) -> Result<(), RecipeError> {
        let share = |share: f64| (0.0..0.9).contains(&share) && share > 0.0;
        let table = [
            (self.network.is_some() != self.base.is_some(), "network", "given, or `base` in its place, and not both"),
            (
                !matches!(self.strategy, Some(FinetuneStrategy::LastStage | FinetuneStrategy::Auto)),
                "strategy",
                "`head`, `staged` or `full`; others are for `graft finetune`, which keeps features",
            ),
            (self.stages != Some(0), "stages", "at least 1"),
            (self.strategy.is_none() || self.base.is_some(), "strategy", "left out where there is no `base`"),
            (self.input.is_some() || self.network.is_none(), "input", "given where a `network` is trained"),
            (
                self.input.is_none() || self.base.is_none(),
                "input",
                "left out where there is a `base`: images are prepared as it was trained with",
            ),
            (
                !matches!(self.validation, ValidationSource::Share(number) if !share(number)),
                "validation",
                "a share above 0 and below 0.9",
            ),
            (self.run.id.as_deref().is_none_or(is_plain), "run.id", PLAIN),
            (is_plain(&self.run.checkpoints), "run.checkpoints", PLAIN),
            (is_plain(&self.run.model), "run.model", PLAIN),
            (
                self.run.least_accuracy.is_none_or(|accuracy| (0.0..=1.0).contains(&accuracy)),
                "run.least_accuracy",
                "a share from 0 to 1",
            ),
        ];
        options::check(&table)?;
        self.teacher.as_ref().map_or(Ok(()), TeacherOptions::validate)?;
        if let Some(name) = self.network.as_deref().filter(|name| zoo::find(name).is_none()) {
            return Err(RecipeError::network(name));
        }
        self.augmentation.validate()?;
        if let Some(input) = &self.input {
            input.preprocess([0.0; 3]).validate().map_err(|error| RecipeError::Augment(error.into()))?;
        }
        Ok(self.training.validate()?)
    }
}

impl InputOptions {
    /// The preprocessing, with what was measured over the training images (means of values in `0..=1`) where it is wanted.
    #[must_use]
    pub fn preprocess(&self, measured: [f32; 3]) -> Preprocess {
        let Self { size: [height, width], fit, filter, values } = *self;
        let imagenet = Preprocess::torchvision(height, width);
        let (mean, std) = match values {
            InputValues::Levels => ([0.0; 3], [1.0 / 255.0; 3]),
            InputValues::Unit => ([0.0; 3], [1.0; 3]),
            InputValues::ZeroCenterPerChannel | InputValues::ZeroCenter => (measured, [1.0; 3]),
            InputValues::ImageNet => (imagenet.mean, imagenet.std),
        };
        let (resize, crop) = match fit {
            ResizeMode::Squash => (Resize::Exact { width, height }, None),
            ResizeMode::ShorterSide(size) => (Resize::ShorterSide { size }, Some(Crop { height, width })),
        };
        Preprocess { resize, filter, crop, mean, std, ..Preprocess::torchvision(1, 1) }
    }
}

const PLAIN: &str = "a plain name: letters, digits, `.`, `_` and `-`, not beginning with a dot";

/// Whether a text is a file's name and nothing else.
pub(crate) fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(allowed) && !name.starts_with('.')
}
