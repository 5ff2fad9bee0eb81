//! tflearn's names for options, and what they mean here.

use toml::{Table, Value};

use super::settings::{at, put};
use super::{RecipeError, SettingError};

/// An option of tflearn's `DNN` or `DNN.fit`.
#[derive(Debug, Clone, Copy)]
pub struct TfLearnOption {
    /// tflearn's name.
    pub name: &'static str,
    /// graft's, in a recipe; none of what graft does in only one way.
    pub path: Option<&'static str>,
    /// The allowed values, in words.
    pub wanted: &'static str,
    meaning: Meaning,
}

/// How a value becomes another.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Count,
    /// A count, or nothing at zero, `False` and `None`.
    CountOrNone,
    Switch,
    Shuffle,
    Validation,
    Text,
    Share,
    /// A positive number, or nothing at zero, `False` and `None`.
    LimitOrNone,
    /// Only 0.
    Zero,
}

const fn option(name: &'static str, path: &'static str, wanted: &'static str, meaning: Meaning) -> TfLearnOption {
    TfLearnOption { name, path: Some(path), wanted, meaning }
}

const ON_OR_OFF: &str = "true or false";
const COUNT: &str = "a whole number, at least 1";
const COUNT_OR_NONE: &str = "a whole number, or 0 for none";

/// Every one that is understood.
pub const OPTIONS: [TfLearnOption; 14] = [
    option("n_epoch", "training.epochs", COUNT, Meaning::Count),
    option("batch_size", "training.batch_size", COUNT, Meaning::Count),
    option("shuffle", "training.sampling", ON_OR_OFF, Meaning::Shuffle),
    option("snapshot_step", "training.checkpoints.every_steps", COUNT_OR_NONE, Meaning::CountOrNone),
    option("snapshot_epoch", "training.checkpoints.every_epoch", ON_OR_OFF, Meaning::Switch),
    option("max_checkpoints", "training.checkpoints.keep", COUNT, Meaning::Count),
    option("clip_gradients", "training.clip_norm", "a positive number, or 0 for none", Meaning::LimitOrNone),
    option("validation_set", "validation", "a share such as 0.1, \"test\", or 0 for none", Meaning::Validation),
    option("run_id", "run.id", "a text", Meaning::Text),
    option("show_metric", "run.show_metric", ON_OR_OFF, Meaning::Switch),
    option("checkpoint_path", "run.checkpoints", "a text", Meaning::Text),
    option("best_checkpoint_path", "run.model", "a text", Meaning::Text),
    option("best_val_accuracy", "run.least_accuracy", "a share from 0 to 1", Meaning::Share),
    TfLearnOption {
        name: "tensorboard_verbose",
        path: None,
        wanted: "0: loss, accuracy and learning rate; histograms of weights alone are `training.logging.histograms`",
        meaning: Meaning::Zero,
    },
];

/// The option of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static TfLearnOption> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// Replaces tflearn's names at the top of a recipe by graft's.
pub(super) fn translate(table: &mut Table) -> Result<(), RecipeError> {
    for option in &OPTIONS {
        let Some(value) = table.remove(option.name) else { continue };
        if let Some(path) = option.path.filter(|path| at(table, path).is_some()) {
            return Err(SettingError::Twice { key: option.name.to_owned(), path: path.to_owned() }.into());
        }
        option.apply(table, &value)?;
    }
    Ok(())
}

impl TfLearnOption {
    /// Sets graft's option to what tflearn's value means.
    pub(super) fn apply(&self, table: &mut Table, value: &Value) -> Result<(), SettingError> {
        let refused = || {
            let (key, wanted) = (self.name.to_owned(), self.wanted.to_owned());
            SettingError::Value { key, wanted, found: value.to_string() }
        };
        let meant = self.meaning.of(value).ok_or_else(refused)?;
        match self.path {
            Some(path) => put(table, path, meant),
            None => Ok(()),
        }
    }
}

impl Meaning {
    /// The value here, or nothing for none; `None` of a value that the option cannot have.
    fn of(self, value: &Value) -> Option<Option<Value>> {
        let kept = Some(Some(value.clone()));
        let none = is_none(value);
        match self {
            Meaning::Count if value.as_integer().is_some_and(|count| count >= 1) => kept,
            Meaning::CountOrNone if none => Some(None),
            Meaning::CountOrNone => Meaning::Count.of(value),
            Meaning::Switch if value.is_bool() => kept,
            Meaning::Shuffle => value.as_bool().map(|shuffle| Some(if shuffle { "shuffled" } else { "listed" }.into())),
            Meaning::Validation if none => Some(Some("none".into())),
            Meaning::Validation if value.as_str() == Some("test") => kept,
            Meaning::Validation => value.as_float().map(|share| {
                let share = Table::from_iter([("share".to_owned(), Value::Float(share))]);
                Some(Value::Table(share))
            }),
            Meaning::Text if value.is_str() => kept,
            Meaning::Share => number(value).map(|share| Some(Value::Float(share))),
            Meaning::LimitOrNone if none => Some(None),
            Meaning::LimitOrNone => number(value).filter(|limit| *limit > 0.0).map(|limit| Some(Value::Float(limit))),
            Meaning::Zero if number(value) == Some(0.0) => Some(None),
            Meaning::Count | Meaning::Switch | Meaning::Text | Meaning::Zero => None,
        }
    }
}

fn is_none(value: &Value) -> bool {
    matches!(value, Value::Boolean(false)) || value.as_str() == Some("None") || number(value) == Some(0.0)
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}
