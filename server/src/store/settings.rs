//! What people decide about a model: which version answers, whether it is served, notes, the names of its classes.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use models::files::{remove_unfinished, write_atomically};
use models::{Labels, ModelSpec};
use serde::{Deserialize, Serialize};

use super::lock::WriteLock;
use super::{ModelName, ModelStore, StoreError, read_file};

/// The file beside the versions of a model.
const SETTINGS_FILE: &str = "model.json";
/// The longest note, in bytes.
pub const LONGEST_NOTE: usize = 16 << 10;
/// The longest name of a class, in bytes.
const LONGEST_LABEL: usize = 1 << 10;

/// The decisions about a model. Its versions never change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The version that is to answer; the newest while nobody has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<u32>,
    /// Whether it is to answer at all.
    #[serde(default)]
    pub availability: Availability,
    /// What people note about the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Of versions about which something was decided.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<u32, VersionSettings>,
    /// The version that answers copies of requests, for comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowSettings>,
    /// The highest number of a version that was deleted: no number is given twice.
    #[serde(default)]
    pub last_deleted: u32,
    /// The version that came with the program. Such a model is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_in: Option<BuiltIn>,
}

/// A version that came with the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltIn {
    /// Its number.
    pub version: u32,
    /// The SHA-256 of the file inside the program, in hexadecimal digits.
    pub checksum: String,
    /// Whether it has been published and not been let in yet.
    #[serde(default, skip_serializing_if = "is_settled")]
    pub unfinished: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_settled(unfinished: &bool) -> bool {
    !unfinished
}

/// The decisions about a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSettings {
    /// The names of its classes, in the place of those in its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What people note about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A version that answers copies of requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShadowSettings {
    /// The version's number.
    pub version: u32,
    /// The share of images that it gets, above 0 and up to 1.
    pub share: f64,
    /// When that was decided.
    pub since: Timestamp,
}

/// Whether a model is to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It answers whenever it can.
    #[default]
    Served,
    /// It was unloaded, and answers when it is loaded again.
    Stopped,
}

impl ModelSettings {
    /// The version of these that is to answer: the one that was chosen, or the newest.
    #[must_use]
    pub fn live_of(&self, versions: &[u32]) -> Option<u32> {
        self.live.or(versions.last().copied())
    }

    /// The names that were given to the classes of a version.
    #[must_use]
    pub fn labels(&self, version: u32) -> Option<Labels> {
        self.versions.get(&version)?.labels.clone().map(Labels::new)
    }
}

impl ModelStore {
    /// The decisions about a model; none for one that nobody has decided anything about.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the file is damaged, [`StoreError::Io`] when it cannot be read.
    pub fn settings(&self, name: &ModelName) -> Result<ModelSettings, StoreError> {
        let path = self.root.join(name.as_str()).join(SETTINGS_FILE);
        match read_file(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| StoreError::Settings { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ModelSettings::default()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(StoreError::Taken(name.clone())),
            Err(error) => Err(StoreError::io(&path)(error)),
        }
    }

    /// Lets a version answer from now on. Whoever serves the model notices. A version that was its own shadow is none any more.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] or [`StoreError::UnknownVersion`].
    pub fn set_live(&self, name: &ModelName, version: u32) -> Result<(), StoreError> {
        self.resolve(name, Some(version))?;
        self.change(name, |settings| {
            settings.live = Some(version);
            settings.shadow = settings.shadow.filter(|shadow| shadow.version != version);
            // Whoever chooses has chosen, also for a process that was killed before it could.
            if let Some(built_in) = &mut settings.built_in {
                built_in.unfinished = false;
            }
        })
    }

    /// Lets a version answer in the place of another, as [`set_live`](Self::set_live) does. `false` if that is not live; nothing has
    /// changed then.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] or [`StoreError::UnknownVersion`].
    pub fn replace_live(&self, name: &ModelName, live: u32, version: u32) -> Result<bool, StoreError> {
        self.resolve(name, Some(version))?;
        let versions = self.versions(name)?;
        let mut replaced = false;
        self.change(name, |settings| {
            replaced = settings.live_of(&versions).is_some_and(|before| [live, version].contains(&before));
            if replaced {
                settings.live = Some(version);
                settings.shadow = settings.shadow.filter(|shadow| shadow.version != version);
            }
        })?;
        Ok(replaced)
    }

    /// Serves a model, or stops serving it.
    ///
    /// # Errors
    /// [`StoreError::Unknown`].
    pub fn set_availability(&self, name: &ModelName, availability: Availability) -> Result<(), StoreError> {
        self.resolve(name, None)?;
        self.change(name, |settings| settings.availability = availability)
    }

    /// Lets a version answer copies of a share of the images that the live one is sent.
    ///
    /// # Errors
    /// [`StoreError::UnknownVersion`], [`StoreError::Shadow`] for the live version and for a share that is none.
    pub fn set_shadow(&self, name: &ModelName, version: u32, share: f64) -> Result<(), StoreError> {
        self.resolve(name, Some(version))?;
        let refused = |reason: &str| StoreError::Shadow { name: name.clone(), version, reason: reason.to_owned() };
        if !(share > 0.0 && share <= 1.0) {
            return Err(refused("the share must be above 0 and at most 1"));
        }
        if self.resolve(name, None)? == version {
            return Err(refused("it is live, and would be compared with itself; choose another version"));
        }
        let shadow = ShadowSettings { version, share, since: Timestamp::now() };
        self.change(name, |settings| settings.shadow = Some(shadow))
    }

    /// Ends the shadow of a model, if there is one, and forgets what it has counted.
    ///
    /// # Errors
    /// [`StoreError::Unknown`].
    pub fn clear_shadow(&self, name: &ModelName) -> Result<(), StoreError> {
        self.resolve(name, None)?;
        self.change(name, |settings| settings.shadow = None)
    }

    /// Notes about a model; an empty text removes them.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Note`] for a text that is too long.
    pub fn set_notes(&self, name: &ModelName, notes: &str) -> Result<(), StoreError> {
        self.resolve(name, None)?;
        let notes = note(notes)?;
        self.change(name, |settings| settings.notes = notes)
    }

    /// Notes about a version; an empty text removes them.
    ///
    /// # Errors
    /// [`StoreError::UnknownVersion`], [`StoreError::Note`] for a text that is too long.
    pub fn set_version_notes(&self, name: &ModelName, version: u32, notes: &str) -> Result<(), StoreError> {
        self.resolve(name, Some(version))?;
        let notes = note(notes)?;
        self.change(name, |settings| settings.versions.entry(version).or_default().notes = notes)
    }

    /// Other names for the classes of a version, in their order.
    ///
    /// # Errors
    /// [`StoreError::UnknownVersion`], [`StoreError::Labels`] unless there is a name of its own for each class,
    /// [`StoreError::BuiltIn`].
    pub fn set_labels(&self, name: &ModelName, version: u32, labels: Vec<String>) -> Result<(), StoreError> {
        self.refuse_built_in(name)?;
        let spec = self.spec(name, version)?;
        let refused = |reason: String| StoreError::Labels { name: name.clone(), version, reason };
        let classes = spec.labels.as_ref().ok_or_else(|| refused("it is a backbone without classes".to_owned()))?.len();
        if labels.len() != classes {
            return Err(refused(format!("it has {classes} classes, and {} names were given", labels.len())));
        }
        let fits = |label: &&String| !label.trim().is_empty() && label.len() <= LONGEST_LABEL;
        if let Some(label) = labels.iter().find(|label| !fits(label)) {
            return Err(refused(format!("`{label}` is no name; use 1 to {LONGEST_LABEL} bytes")));
        }
        let mut sorted: Vec<&String> = labels.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refused(format!("two classes would be called `{}`", twice[0])));
        }
        self.change(name, |settings| settings.versions.entry(version).or_default().labels = Some(labels))
    }

    /// Gives the classes of a version the names that people chose.
    pub(super) fn rename_classes(
        &self,
        name: &ModelName,
        version: u32,
        spec: ModelSpec,
    ) -> Result<ModelSpec, StoreError> {
        let (own, chosen) = (spec.labels.as_ref().map(Labels::len), self.settings(name)?.labels(version));
        // Only somebody who edits the file by hand can give another number of names.
        Ok(match chosen.filter(|labels| Some(labels.len()) == own) {
            Some(labels) => ModelSpec { labels: Some(labels), ..spec },
            None => spec,
        })
    }

    /// Changes the settings, one writer at a time.
    fn change(&self, name: &ModelName, change: impl FnOnce(&mut ModelSettings)) -> Result<(), StoreError> {
        let folder = self.root.join(name.as_str());
        let _lock = WriteLock::take(&folder).map_err(StoreError::io(&folder))?;
        self.change_locked(name, change)
    }

    /// The same for a caller that has the lock.
    pub(super) fn change_locked(
        &self,
        name: &ModelName,
        change: impl FnOnce(&mut ModelSettings),
    ) -> Result<(), StoreError> {
        let folder = self.root.join(name.as_str());
        let before = self.settings(name)?;
        let mut settings = before.clone();
        change(&mut settings);
        if settings.shadow != before.shadow {
            self.forget_shadow(name)?;
        }
        if settings == before {
            return Ok(());
        }
        let path = folder.join(SETTINGS_FILE);
        let text = serde_json::to_vec_pretty(&settings);
        let text = text.map_err(|source| StoreError::Settings { path: path.clone(), source })?;
        remove_unfinished(&folder).map_err(StoreError::io(&folder))?;
        write_atomically(&path, &text).map_err(StoreError::io(&path))
    }
}

/// A text without white space around it; `None` for an empty one.
fn note(text: &str) -> Result<Option<String>, StoreError> {
    let text = text.trim();
    match text.len() {
        0 => Ok(None),
        1..=LONGEST_NOTE => Ok(Some(text.to_owned())),
        length => Err(StoreError::Note { length }),
    }
}
