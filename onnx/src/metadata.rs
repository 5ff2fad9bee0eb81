//! A file's `metadata_props`: the spec in graft's schema, and the same facts under the keys of other tools.

use models::scores::ScoreKind;
use models::spec::{ScoreSpec, TrainingRecord};
use models::{Labels, ModelSpec, Preprocess};
use prost::Message;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::file::{FileError, ModelFile};
use crate::proto::{ModelHeader, ModelProto, StringStringEntryProto};
use crate::write::PixelNormalization;

/// The key of the spec. A version that read it otherwise would have another number.
const SPEC_KEY: &str = "graft.spec.v1";
/// The key of a spec whose scores are no softmax. Versions of graft that know none but softmax look for the other key, and so
/// refuse the file instead of answering wrong scores.
const SCORED_SPEC_KEY: &str = "graft.spec.v2";
/// Any other version of that key.
const SPEC_PREFIX: &str = "graft.spec.";
/// Class names as a JSON array.
const NAMES_KEY: &str = "names";

/// Why the metadata of a file that graft wrote cannot be read.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// The bytes are not an ONNX file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Written by a newer graft.
    #[error("the file's metadata is `{found}`, this graft reads `{SPEC_KEY}` and `{SCORED_SPEC_KEY}`; upgrade graft")]
    Version {
        /// The key in the file.
        found: String,
    },
    /// Malformed JSON.
    #[error("the file's metadata under `{key}` is damaged; export the model again")]
    Json {
        /// The key in the file.
        key: &'static str,
    },
    /// Preprocessing that this version does not implement.
    #[error("the model's preprocessing cannot be reproduced")]
    Preprocess(#[from] models::preprocess::PreprocessError),
}

/// The value behind [`SPEC_KEY`]; the labels are behind [`NAMES_KEY`] and not twice in the file.
#[derive(Serialize, Deserialize)]
struct SpecJson {
    architecture: String,
    preprocess: Preprocess,
    #[serde(default, skip_serializing_if = "ScoreSpec::is_default")]
    scores: ScoreSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<TrainingRecord>,
    /// Whether the file's input is normalised already; then the network lacks its first node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    normalized_input: bool,
}

/// The metadata of a file that graft wrote.
pub(crate) struct SpecRecord {
    pub(crate) spec: ModelSpec,
    /// Where its pixels are normalized.
    pub(crate) normalization: PixelNormalization,
}

/// The spec in a file that graft wrote, without reading the network. `None` for a file of another program.
///
/// # Errors
/// [`MetadataError`] for bytes that are not an ONNX file, or metadata of graft's that it cannot read.
pub fn spec(file: &[u8]) -> Result<Option<ModelSpec>, MetadataError> {
    let header = ModelHeader::decode(file).map_err(|_| FileError::Decode)?;
    Ok(read(&header.metadata_props)?.map(|recorded| recorded.spec))
}

impl ModelFile {
    /// The spec, if graft wrote the file; `None` for a file of another program.
    ///
    /// # Errors
    /// [`MetadataError`] for metadata of graft's that it cannot read.
    pub fn spec(&self) -> Result<Option<ModelSpec>, MetadataError> {
        Ok(read(self.props())?.map(|record| record.spec))
    }
}

/// The spec, if graft wrote the file; `None` for metadata of other programs alone.
pub(crate) fn read(props: &[StringStringEntryProto]) -> Result<Option<SpecRecord>, MetadataError> {
    let value = |key: &str| props.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let Some((key, json)) = [SPEC_KEY, SCORED_SPEC_KEY].iter().find_map(|&key| Some((key, value(key)?))) else {
        return match props.iter().find(|entry| entry.key.starts_with(SPEC_PREFIX)) {
            Some(other) => Err(MetadataError::Version { found: other.key.clone() }),
            None => Ok(None),
        };
    };
    let damaged = |key| move |_| MetadataError::Json { key };
    let SpecJson { architecture, preprocess, scores, training, normalized_input } =
        serde_json::from_str(json).map_err(damaged(key))?;
    preprocess.validate()?;
    let labels = value(NAMES_KEY).map(serde_json::from_str::<Labels>).transpose().map_err(damaged(NAMES_KEY))?;
    let normalization = if normalized_input { PixelNormalization::Outside } else { PixelNormalization::Inside };
    Ok(Some(SpecRecord { spec: ModelSpec { architecture, labels, preprocess, scores, training }, normalization }))
}

/// The spec for graft, class names and image conventions for other tools.
pub(crate) fn write(spec: &ModelSpec, normalization: PixelNormalization) -> Vec<StringStringEntryProto> {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
    let record = SpecJson {
        architecture: spec.architecture.clone(),
        preprocess: spec.preprocess.clone(),
        scores: spec.scores.clone(),
        training: spec.training.clone(),
        normalized_input: normalization == PixelNormalization::Outside,
    };
    let key = if spec.scores.kind == ScoreKind::Softmax { SPEC_KEY } else { SCORED_SPEC_KEY };
    let mut props = vec![entry(key, json(&record))];
    if normalization == PixelNormalization::Inside {
        props.push(entry("Image.BitmapPixelFormat", "Rgb8".to_owned()));
        props.push(entry("Image.ColorSpaceGamma", "SRGB".to_owned()));
        props.push(entry("Image.NominalPixelRange", "NominalRange_0_255".to_owned()));
    }
    if let Some((height, width)) = spec.preprocess.output_size() {
        props.push(entry("imgsz", format!("[{height}, {width}]")));
    }
    if let Some(labels) = &spec.labels {
        // Ultralytics' loader wants all of these beside the names.
        let fixed = [("task", "classify"), ("stride", "1"), ("batch", "1"), ("channels", "3")];
        props.extend(fixed.map(|(key, value)| entry(key, value.to_owned())));
        props.push(entry(NAMES_KEY, json(labels)));
        props.push(entry("names_ultralytics", python_dict(labels)));
    }
    props
}

/// Replaces graft's entries of the metadata and keeps those of other programs.
pub(crate) fn replace(model: &mut ModelProto, spec: &ModelSpec) {
    let ours = write(spec, PixelNormalization::Inside);
    let replaced = |key: &str| key.starts_with(SPEC_PREFIX) || ours.iter().any(|our| our.key == key);
    model.metadata_props.retain(|entry| !replaced(&entry.key));
    model.metadata_props.extend(ours);
}

/// Strings and numbers always serialize.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers always serialize")
}

/// `{0: 'rose', 1: 'colt\'s foot'}`: Ultralytics' tools read the repr of a Python dictionary.
fn python_dict(labels: &Labels) -> String {
    let quoted = |name: &String| name.replace('\\', "\\\\").replace('\'', "\\'");
    let entries: Vec<String> =
        labels.names().iter().enumerate().map(|(class, name)| format!("{class}: '{}'", quoted(name))).collect();
    format!("{{{}}}", entries.join(", "))
}
