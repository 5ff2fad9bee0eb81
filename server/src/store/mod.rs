//! Published models.
//!
//! A model is a folder of numbered versions. A version is written under a temporary name and becomes visible by one rename:
//! readers see all of it or nothing, and it never changes. What people decide about a model is in files beside its versions.

mod built_in;
mod choices;
mod default;
mod listing;
mod lock;
mod manifest;
mod name;
mod prune;
mod publish;
mod settings;
mod shadow;
#[cfg(test)]
mod tests;
mod variants;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use models::weights::SafetensorsError;
use models::{ModelSpec, Network, files, weights};
use onnx::ExportError;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trainer::data::FileAccess;
pub use trainer::finetune::ModelContent;
use trainer::finetune::Picture;
pub use trainer::finetune::golden::Golden;
use trainer::finetune::report::FinetuneReport;
use trainer::quantize::VariantKind;

pub use built_in::BuiltInState;
pub(crate) use choices::choices;
pub use default::{Standing, model_meant};
pub use listing::{Listing, ModelEntry};
pub use manifest::{JobOrigin, Manifest};
pub(crate) use name::is_plain_name;
pub use name::{InvalidName, ModelName};
pub use prune::DeleteGuard;
pub use publish::{Artifacts, Publication};
pub use settings::{Availability, BuiltIn, LONGEST_NOTE, ModelSettings, ShadowSettings, VersionSettings};
pub use variants::VariantRecord;

/// The served file, which contains labels, preprocessing and training record.
const MODEL_FILE: &str = "model.onnx";
/// The unfolded network, to train further. An opaque model has none.
const WEIGHTS_FILE: &str = "weights.safetensors";
/// The report of the run.
const REPORT_FILE: &str = "report.json";
/// Small pictures of the images that the report names.
const PICTURES_DIR: &str = "pictures";
/// Where the version comes from.
const MANIFEST_FILE: &str = "manifest.json";
/// The golden images.
const GOLDEN_DIR: &str = "golden";
/// The logits of the golden images, in that folder.
const GOLDEN_FILE: &str = "golden.json";

/// The folder of all models.
#[derive(Debug, Clone)]
pub struct ModelStore {
    root: PathBuf,
}

/// A version, read for serving.
#[derive(Debug, Clone)]
pub struct StoredModel {
    /// The model's name.
    pub name: ModelName,
    /// The version's number, from 1.
    pub version: u32,
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// Labels, preprocessing and training record.
    pub spec: ModelSpec,
    /// Images with the logits that it must reproduce.
    pub golden: Vec<Golden>,
    /// The report of the run, for a fine-tuned model.
    pub report: Option<FinetuneReport>,
    /// Which variant of the version the file is.
    pub variant: VariantKind,
    /// The variants beside the one in `f32`.
    pub variants: Vec<VariantRecord>,
}

/// One line of `golden.json`.
#[derive(Serialize, Deserialize)]
struct GoldenEntry {
    file: String,
    logits: Vec<f32>,
    /// Missing from versions that were published before 0.3.
    #[serde(default)]
    noise: f64,
}

/// An operation of the store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No model of this name.
    #[error("there is no model `{name}`; {}", choices(Some(.name.as_str()), .known))]
    Unknown {
        /// The name asked for.
        name: ModelName,
        /// The names that there are.
        known: Vec<ModelName>,
    },
    /// No such version of the model.
    #[error("model `{name}` has no version {version}; it has {known:?}")]
    UnknownVersion {
        /// The model.
        name: ModelName,
        /// The version asked for.
        version: u32,
        /// The versions that there are.
        known: Vec<u32>,
    },
    /// A variant that the version does not have.
    #[error("model `{name}` version {version} has no variant {kind}; `graft quantize {name}` makes a version that has")]
    NoVariant {
        /// The model.
        name: ModelName,
        /// The version's number.
        version: u32,
        /// The variant asked for.
        kind: VariantKind,
    },
    /// A file of a version is missing or damaged.
    #[error("model `{name}` version {version} is damaged: {reason}")]
    Damaged {
        /// The model.
        name: ModelName,
        /// The version's number.
        version: u32,
        /// What is wrong.
        reason: String,
    },
    /// Something that is no folder has the name of a model.
    #[error(
        "`{0}` is the name of a file in the folder of models that is no model; choose another name, or move it away"
    )]
    Taken(ModelName),
    /// The decisions about a model cannot be read.
    #[error(
        "{path}: the settings are damaged: {source}; correct the file, or remove it to let the newest version answer"
    )]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with its JSON.
        source: serde_json::Error,
    },
    /// The version answers.
    #[error(
        "version {version} of `{name}` is live; make another version live first, or say that it may go: `?force=true`, \
         `graft models delete --force`"
    )]
    Live {
        /// The model.
        name: ModelName,
        /// The version's number.
        version: u32,
    },
    /// The model came with the program.
    #[error("`{name}` comes with graft and is read-only; choose another name")]
    BuiltIn {
        /// The model.
        name: ModelName,
    },
    /// The version cannot be a shadow.
    #[error("version {version} of `{name}` cannot be a shadow: {reason}")]
    Shadow {
        /// The model.
        name: ModelName,
        /// The version's number.
        version: u32,
        /// What keeps it from being one.
        reason: String,
    },
    /// The classes cannot be called so.
    #[error("the classes of `{name}` version {version} cannot be called so: {reason}")]
    Labels {
        /// The model.
        name: ModelName,
        /// The version's number.
        version: u32,
        /// What is wrong with the names.
        reason: String,
    },
    /// The note is too long.
    #[error("the note has {length} bytes, and {LONGEST_NOTE} are the most; shorten it")]
    Note {
        /// Its length in bytes.
        length: usize,
    },
    /// A job whose lease has run out, or that was told to stop, publishes nothing.
    #[error("the job was told to stop before its model was published")]
    Withdrawn,
    /// The network cannot be written as ONNX.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The network cannot be written as safetensors.
    #[error(transparent)]
    Weights(#[from] SafetensorsError),
}

/// An opaque model cannot be trained or exported in another form.
#[derive(Debug, Error)]
#[error(
    "model `{0}` is an opaque ONNX file, kept as it was imported; it can be served and given a new head, but its layers \
     cannot be trained and it cannot be exported in another form"
)]
pub struct OpaqueModel(pub ModelName);

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

impl ModelStore {
    /// Opens the store in this folder, and creates the folder if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root).map_err(StoreError::io(root))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The newest version of a model; `None` when there is no such model.
    ///
    /// # Errors
    /// [`StoreError::Io`] when its folder cannot be read.
    pub fn latest(&self, name: &ModelName) -> Result<Option<u32>, StoreError> {
        Ok(self.versions(name)?.last().copied())
    }

    /// The version asked for, or the live one.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] or [`StoreError::UnknownVersion`] naming what there is instead.
    pub fn resolve(&self, name: &ModelName, version: Option<u32>) -> Result<u32, StoreError> {
        let known = self.versions(name)?;
        let version = version.or(self.settings(name)?.live);
        match (version, known.last()) {
            (None, Some(&latest)) => Ok(latest),
            (Some(version), Some(_)) if known.contains(&version) => Ok(version),
            (Some(version), Some(_)) => Err(StoreError::UnknownVersion { name: name.clone(), version, known }),
            (_, None) => {
                let known = self.list()?.models.into_iter().map(|entry| entry.name).collect();
                Err(StoreError::Unknown { name: name.clone(), known })
            }
        }
    }

    /// Reads a version for serving.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version, or a file of it is missing or damaged.
    pub fn read(&self, name: &ModelName, version: u32) -> Result<StoredModel, StoreError> {
        let folder = self.folder(name, self.resolve(name, Some(version))?);
        let damaged = |reason: String| StoreError::Damaged { name: name.clone(), version, reason };
        let onnx = read(&folder.join(MODEL_FILE))?;
        let spec = self.rename_classes(name, version, spec_of(&onnx).map_err(damaged)?)?;
        let golden_dir = folder.join(GOLDEN_DIR);
        let entries: Vec<GoldenEntry> = serde_json::from_slice(&read(&golden_dir.join(GOLDEN_FILE))?)
            .map_err(|error| damaged(format!("{GOLDEN_FILE}: {error}")))?;
        let golden = entries.into_iter().map(|GoldenEntry { file, logits, noise }| {
            let plain = Path::new(&file).file_name().is_some_and(|name| name == file.as_str());
            let bytes = if plain { read(&golden_dir.join(&file))? } else { return Err(damaged(file)) };
            Ok(Golden { file_name: file, bytes, logits, noise })
        });
        let golden = golden.collect::<Result<_, _>>()?;
        let report = self.report(name, version)?;
        let variants = self.manifest(name, version).map_or_else(Vec::new, |manifest| manifest.variants);
        let variant = VariantKind::F32;
        Ok(StoredModel { name: name.clone(), version, onnx, spec, golden, report, variant, variants })
    }

    /// What a version says of itself, without its network.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version, or its file is damaged.
    pub fn spec(&self, name: &ModelName, version: u32) -> Result<ModelSpec, StoreError> {
        let file = self.folder(name, self.resolve(name, Some(version))?).join(MODEL_FILE);
        let spec = spec_of(&read(&file)?);
        let spec = spec.map_err(|reason| StoreError::Damaged { name: name.clone(), version, reason })?;
        self.rename_classes(name, version, spec)
    }

    /// The report of a version; `None` for one that no fine-tune made.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version, or its report is damaged.
    pub fn report(&self, name: &ModelName, version: u32) -> Result<Option<FinetuneReport>, StoreError> {
        let file = self.folder(name, self.resolve(name, Some(version))?).join(REPORT_FILE);
        let damaged = |error: serde_json::Error| {
            let reason = format!("{REPORT_FILE}: {error}");
            StoreError::Damaged { name: name.clone(), version, reason }
        };
        match read_file(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&file)(error)),
        }
    }

    /// A picture that the report of a version names; `None` if it is not there.
    #[must_use]
    pub fn picture(&self, name: &ModelName, version: u32, file: &str) -> Option<Vec<u8>> {
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        plain.then(|| read_file(&self.folder(name, version).join(PICTURES_DIR).join(file)).ok()).flatten()
    }

    /// All pictures of a version.
    ///
    /// # Errors
    /// [`StoreError::Io`] when they cannot be read.
    pub fn pictures(&self, name: &ModelName, version: u32) -> Result<Vec<Picture>, StoreError> {
        let folder = self.folder(name, version).join(PICTURES_DIR);
        let mut pictures = Vec::new();
        for file_name in listing::names(&folder)? {
            pictures.push(Picture { bytes: read(&folder.join(&file_name))?, file_name });
        }
        Ok(pictures)
    }

    /// The size of a version's ONNX file, in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is no such version, or it cannot be read.
    pub fn file_size(&self, name: &ModelName, version: u32) -> Result<u64, StoreError> {
        let file = self.folder(name, version).join(MODEL_FILE);
        Ok(fs::metadata(&file).map_err(StoreError::io(&file))?.len())
    }

    /// Whether this version is an opaque model. Does not read the model.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version.
    pub fn is_opaque(&self, name: &ModelName, version: u32) -> Result<bool, StoreError> {
        let weights = self.folder(name, self.resolve(name, Some(version))?).join(WEIGHTS_FILE);
        Ok(!weights.try_exists().map_err(StoreError::io(&weights))?)
    }

    /// Reads a version for training: its network, or its opaque file.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version, or its file is damaged.
    pub fn content(&self, name: &ModelName, version: u32) -> Result<ModelContent, StoreError> {
        let folder = self.folder(name, version);
        if self.is_opaque(name, version)? {
            return Ok(ModelContent::Opaque(read(&folder.join(MODEL_FILE))?));
        }
        let network = weights::read_network(&read(&folder.join(WEIGHTS_FILE))?);
        let network = network.map_err(|error| {
            let reason = format!("{WEIGHTS_FILE}: {error}");
            StoreError::Damaged { name: name.clone(), version, reason }
        })?;
        let spec = self.rename_classes(name, version, network.spec)?;
        Ok(ModelContent::Native(Box::new(Network { spec, ..network })))
    }

    /// The ONNX file of a version, with the names of classes that it was published with.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version.
    pub fn model_file(&self, name: &ModelName, version: u32) -> Result<PathBuf, StoreError> {
        Ok(self.folder(name, self.resolve(name, Some(version))?).join(MODEL_FILE))
    }

    fn folder(&self, name: &ModelName, version: u32) -> PathBuf {
        self.root.join(name.as_str()).join(version.to_string())
    }
}

/// The spec in a version's file, or why it has none.
fn spec_of(onnx: &[u8]) -> Result<ModelSpec, String> {
    let spec = onnx::metadata::spec(onnx).map_err(|error| error.to_string())?;
    spec.ok_or_else(|| format!("{MODEL_FILE} was not written by graft"))
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    read_file(path).map_err(StoreError::io(path))
}

/// The content of a regular file. A pipe in its place is an error, and is not waited for.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    FileAccess::Everywhere.file(path).open()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file of a version that is not published yet.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    files::write_new(path, bytes).map_err(StoreError::io(path))
}

/// Makes the names of such files durable.
fn sync(folder: &Path) -> Result<(), StoreError> {
    files::sync_folder(folder).map_err(StoreError::io(folder))
}
