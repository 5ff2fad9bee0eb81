//! From the text of a recipe to a recipe.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::settings::put;
use super::{Recipe, RecipeError, Setting, tflearn};
use crate::nearest;

/// What a recipe leaves open: a number by which its file has several networks, as the `n` of the residual ones.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeParameter {
    /// Its name, with which a setting gives it.
    pub name: String,
    /// Its value where nothing is said.
    pub default: i64,
    /// By value, what of the recipe is then otherwise.
    pub values: BTreeMap<String, Table>,
}

/// The key of the parameter in a file.
const PARAMETER: &str = "parameter";

pub(super) fn read(text: &str, settings: &[Setting]) -> Result<Recipe, RecipeError> {
    let mut table = text.parse::<Table>().map_err(|error| RecipeError::Text(error.to_string().trim().to_owned()))?;
    let parameter = parameter(&mut table)?;
    let own = |setting: &&Setting| parameter.as_ref().is_some_and(|parameter| parameter.name == setting.key);
    if let Some(parameter) = &parameter {
        let given = settings.iter().rfind(own).and_then(|setting| setting.value.as_ref());
        merge(&mut table, parameter.choose(given)?.clone());
    }
    tflearn::translate(&mut table)?;
    for setting in settings.iter().filter(|setting| !own(setting)) {
        match (tflearn::find(&setting.key), &setting.value) {
            (Some(option), Some(value)) => option.apply(&mut table, value)?,
            (_, value) => put(&mut table, &setting.key, value.clone())?,
        }
    }
    let others = parameter.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>();
    Recipe::deserialize(table).map_err(|error| RecipeError::Text(explained(&error.to_string(), &others)))
}

fn parameter(table: &mut Table) -> Result<Option<RecipeParameter>, RecipeError> {
    let Some(value) = table.remove(PARAMETER) else { return Ok(None) };
    let read = RecipeParameter::deserialize(value);
    read.map(Some).map_err(|error| RecipeError::Text(format!("`{PARAMETER}`: {}", explained(&error.to_string(), &[]))))
}

impl RecipeParameter {
    fn choose(&self, given: Option<&Value>) -> Result<&Table, RecipeError> {
        let value = given.map_or(self.default.to_string(), |given| match given {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        self.values.get(&value).ok_or_else(|| {
            let mut numbers: Vec<&String> = self.values.keys().collect();
            numbers.sort_by_key(|number| (number.len(), *number));
            let wanted = numbers.into_iter().cloned().collect::<Vec<_>>().join(", ");
            let wanted = format!("one of {wanted}");
            super::SettingError::Value { key: self.name.clone(), wanted, found: value }.into()
        })
    }
}

/// Puts one table over another, part by part. A part of another `kind` takes the place of the whole.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new))
                if new.get("kind").is_none_or(|kind| old.get("kind") == Some(kind)) =>
            {
                merge(old, new);
            }
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// What is said of an option that there is not, with the nearest that there is. serde lists those that there are, in
/// quotes, behind the one that there is not.
fn explained(message: &str, others: &[&str]) -> String {
    let message = message.trim().replace('\n', ", ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let starts = |start: &str| message.starts_with(start);
    let (Some(unknown), true) = (quoted.next(), starts("unknown field") || starts("unknown variant")) else {
        return message;
    };
    // `in` names the table that it is in.
    let place = message.rsplit_once(", in `").map_or("", |(_, place)| place.trim_end_matches('`'));
    let mut names: Vec<&str> = quoted.filter(|name| *name != place).collect();
    if starts("unknown field") {
        names.extend(others);
        names.extend(tflearn::OPTIONS.iter().map(|option| option.name));
    }
    let place = if place.is_empty() { String::new() } else { format!(" in `{place}`") };
    match nearest(unknown, names.iter().copied()) {
        Some(near) => format!("there is no `{unknown}`{place}; did you mean `{near}`?"),
        None => format!("there is no `{unknown}`{place}; there are {}", names.join(", ")),
    }
}
