//! The model that answers where a request names none.

use std::io;

use models::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::{Availability, ModelName, ModelSettings, ModelStore, StoreError, read_file};

/// In the folder of all models. No model's name begins with a dot.
const DEFAULT_FILE: &str = ".default.json";

#[derive(Serialize, Deserialize)]
struct DefaultModel {
    model: Option<ModelName>,
}

/// What a model is to requests that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has no classes, and is no choice.
    Backbone,
    /// A classifier that does not answer, now or at all.
    Silent,
    /// A classifier that answers, or will once it is loaded.
    Answers,
}

/// The one model of a group that may be meant.
enum Sole<'a> {
    Nobody,
    One(&'a ModelName),
    Several,
}

/// The model that is meant where a request names none: the one that was chosen, else the only classifier of the user's. Where the
/// user has several, the only one that answers: the others are no choice. The one that comes with the program is meant while the
/// user has none. `None` where nothing says which.
pub fn model_meant<'a>(
    chosen: Option<&ModelName>,
    models: impl Iterator<Item = (&'a ModelName, &'a ModelSettings)> + Clone,
    standing: impl Fn(&ModelName) -> Standing,
) -> Option<&'a ModelName> {
    if let Some((name, _)) = models.clone().find(|(name, _)| Some(*name) == chosen) {
        return Some(name);
    }
    let own = models.clone().filter(|(_, settings)| settings.built_in.is_none()).map(|(name, _)| name);
    match sole(own, &standing) {
        Sole::One(name) => Some(name),
        Sole::Several => None,
        Sole::Nobody => {
            let built_in = models.filter(|(_, settings)| settings.built_in.is_some()).map(|(name, _)| name);
            if let Sole::One(name) = sole(built_in, &standing) { Some(name) } else { None }
        }
    }
}

/// The only classifier of these models, or the only one that answers. Asks about no more of them than it needs to know.
fn sole<'a>(names: impl Iterator<Item = &'a ModelName>, standing: impl Fn(&ModelName) -> Standing) -> Sole<'a> {
    let (mut silent, mut answering, mut classifiers) = (None, None, 0);
    for name in names {
        match standing(name) {
            Standing::Backbone => continue,
            Standing::Silent => silent = Some(name),
            Standing::Answers if answering.is_some() => return Sole::Several,
            Standing::Answers => answering = Some(name),
        }
        classifiers += 1;
    }
    match (answering, silent, classifiers) {
        (Some(name), ..) | (None, Some(name), 1) => Sole::One(name),
        (None, Some(_), _) => Sole::Several,
        (None, None, _) => Sole::Nobody,
    }
}

impl ModelStore {
    /// The model that is meant where a request names none, once every model that is to answer does, and whether it is one that is to
    /// answer. For who asks before models are loaded.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder of all models cannot be read.
    pub fn answering_by_default(&self) -> Result<Option<(ModelName, Availability)>, StoreError> {
        let (chosen, entries) = (self.default_model()?, self.list()?.models);
        let models = entries.iter().map(|entry| (&entry.name, &entry.settings));
        let availability = |name: &ModelName| {
            models.clone().find(|(other, _)| *other == name).map(|(_, settings)| settings.availability)
        };
        let standing = |name: &ModelName| {
            let spec = self.resolve(name, None).and_then(|version| self.spec(name, version));
            match (spec.is_ok_and(|spec| spec.labels.is_some()), availability(name)) {
                (false, _) => Standing::Backbone,
                (true, Some(Availability::Served)) => Standing::Answers,
                (true, _) => Standing::Silent,
            }
        };
        let meant = model_meant(chosen.as_ref(), models.clone(), standing);
        Ok(meant.and_then(|name| Some((name.clone(), availability(name)?))))
    }

    /// The default model, if one was chosen.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the file is damaged, [`StoreError::Io`] when it cannot be read.
    pub fn default_model(&self) -> Result<Option<ModelName>, StoreError> {
        let path = self.root.join(DEFAULT_FILE);
        match read_file(&path) {
            Ok(bytes) => match serde_json::from_slice::<DefaultModel>(&bytes) {
                Ok(default) => Ok(default.model),
                Err(source) => Err(StoreError::Settings { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&path)(error)),
        }
    }

    /// Chooses the default model, or none.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is no such model.
    pub fn set_default_model(&self, model: Option<&ModelName>) -> Result<(), StoreError> {
        if let Some(name) = model {
            self.resolve(name, None)?;
        }
        let path = self.root.join(DEFAULT_FILE);
        let text = serde_json::to_vec_pretty(&DefaultModel { model: model.cloned() });
        let text = text.map_err(|source| StoreError::Settings { path: path.clone(), source })?;
        write_atomically(&path, &text).map_err(StoreError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::BuiltIn;
    use super::*;

    /// A name, whose it is, and what it is to requests.
    type Row = (&'static str, Owner, Standing);
    /// What it is about, the choice, the models, and which is meant.
    type Case<'a> = (&'a str, Option<&'a str>, &'a [Row], Option<&'a str>);

    #[derive(Clone, Copy, PartialEq)]
    enum Owner {
        User,
        Program,
    }

    fn meant(chosen: Option<&str>, rows: &[Row]) -> Option<String> {
        let models: Vec<(ModelName, ModelSettings)> = rows
            .iter()
            .map(|(name, owner, _)| {
                let built_in = (*owner == Owner::Program).then(|| BuiltIn {
                    version: 1,
                    checksum: String::new(),
                    unfinished: false,
                });
                (name.parse().unwrap(), ModelSettings { built_in, ..ModelSettings::default() })
            })
            .collect();
        let standing = |name: &ModelName| rows.iter().find(|(other, ..)| *other == name.as_str()).unwrap().2;
        let chosen: Option<ModelName> = chosen.map(|name| name.parse().unwrap());
        model_meant(chosen.as_ref(), models.iter().map(|(name, settings)| (name, settings)), standing)
            .map(ToString::to_string)
    }

    #[test]
    fn the_model_that_is_meant_is_the_chosen_or_the_only_one_of_the_users_or_the_one_inside() {
        use Owner::{Program, User};
        use Standing::{Answers, Backbone, Silent};
        let starter = ("starter", Program, Answers);
        let rows: [Case<'_>; 12] = [
            ("nothing", None, &[], None),
            ("alone inside", None, &[starter], Some("starter")),
            ("the user's own", None, &[("a", User, Answers), starter], Some("a")),
            ("the user's own does not answer", None, &[("a", User, Silent), starter], Some("a")),
            ("a backbone is no choice", None, &[("a", User, Backbone), starter], Some("starter")),
            ("a backbone and one", None, &[("a", User, Backbone), ("b", User, Answers)], Some("b")),
            ("two that answer", None, &[("a", User, Answers), ("b", User, Answers), starter], None),
            ("one of two answers", None, &[("a", User, Silent), ("b", User, Answers), starter], Some("b")),
            ("neither of two answers", None, &[("a", User, Silent), ("b", User, Silent), starter], None),
            ("chosen", Some("b"), &[("a", User, Answers), ("b", User, Silent)], Some("b")),
            ("chosen backbone", Some("b"), &[("a", User, Answers), ("b", User, Backbone)], Some("b")),
            ("the chosen one is gone", Some("z"), &[("a", User, Answers), starter], Some("a")),
        ];
        for (what, chosen, models, expected) in rows {
            assert_eq!(meant(chosen, models).as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn models_are_not_looked_at_once_it_is_clear_that_one_must_be_named() {
        let names: Vec<ModelName> = ["a", "b", "c"].map(|name| name.parse().unwrap()).to_vec();
        let settings = ModelSettings::default();
        let looked_at = std::cell::Cell::new(0);
        let standing = |_: &ModelName| {
            looked_at.set(looked_at.get() + 1);
            Standing::Answers
        };
        assert_eq!(model_meant(None, names.iter().map(|name| (name, &settings)), standing), None);
        assert_eq!(looked_at.get(), 2);
    }
}
