//! The kinds of jobs.

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::evaluate::EvaluateSpec;
use crate::failure::{STORAGE_FULL, is_transient};
use crate::finetune::FinetuneSpec;
use crate::imports::ImportSpec;
use crate::quantize::QuantizeSpec;

/// The work of one job. In the database and between processes it is a JSON object whose field `job` names the kind.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are as many as jobs that are looked at, and most train")]
pub enum JobSpec {
    /// Train a new model on a stored one and publish it.
    Finetune(FinetuneSpec),
    /// Measure a stored model on labeled images.
    Evaluate(EvaluateSpec),
    /// Publish a stored model with variants of fewer bits.
    Quantize(QuantizeSpec),
    /// Publish a model that a client has sent.
    Import(ImportSpec),
}

/// What kind of work a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// It publishes a model.
    Finetune,
    /// It ends in a report.
    Evaluate,
    /// It publishes a version of its model, and ends in a report.
    Quantize,
    /// It publishes what was sent.
    Import,
}

/// Where a job waits. A server works on one job of each queue at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobQueue {
    /// Work on images, which takes minutes and hours.
    Images,
    /// Imports, which take seconds, and whose clients may wait for them.
    Imports,
}

impl JobSpec {
    /// Whether this is the job that a request asks for: the same, with the snapshot that was made when it was accepted.
    #[must_use]
    pub fn answers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Finetune(own), Self::Finetune(asked)) => {
                let dataset = own.dataset.clone();
                dataset.answers(&asked.dataset) && *own == FinetuneSpec { dataset, ..asked.clone() }
            }
            (Self::Evaluate(own), Self::Evaluate(asked)) => {
                let dataset = own.dataset.clone();
                dataset.answers(&asked.dataset) && *own == EvaluateSpec { dataset, ..asked.clone() }
            }
            (Self::Quantize(own), Self::Quantize(asked)) => {
                let dataset = own.dataset.clone();
                dataset.answers(&asked.dataset) && *own == QuantizeSpec { dataset, ..asked.clone() }
            }
            (Self::Import(own), Self::Import(asked)) => own.answers(asked),
            _ => false,
        }
    }
}

const TAG: &str = "job";
const KINDS: &[&str] =
    &[JobKind::Finetune.name(), JobKind::Evaluate.name(), JobKind::Quantize.name(), JobKind::Import.name()];

impl JobKind {
    /// Its word in the database and in addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Evaluate => "evaluate",
            Self::Quantize => "quantize",
            Self::Import => "import",
        }
    }

    /// The queue that it waits in.
    #[must_use]
    pub const fn queue(self) -> JobQueue {
        match self {
            Self::Finetune | Self::Evaluate | Self::Quantize => JobQueue::Images,
            Self::Import => JobQueue::Imports,
        }
    }

    /// Whether another attempt may not meet a failure with this code. An import's client has its file still, and may be waiting: it
    /// is told that the disk is full at once.
    pub(super) fn tries_again(self, code: &str) -> bool {
        is_transient(code) && !(self == Self::Import && code == STORAGE_FULL)
    }
}

impl JobSpec {
    /// What kind of work it is.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Finetune(_) => JobKind::Finetune,
            Self::Evaluate(_) => JobKind::Evaluate,
            Self::Quantize(_) => JobKind::Quantize,
            Self::Import(_) => JobKind::Import,
        }
    }
}

impl Serialize for JobSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tagged<'a, T> {
            job: &'static str,
            #[serde(flatten)]
            spec: &'a T,
        }
        let job = self.kind().name();
        match self {
            JobSpec::Finetune(spec) => Tagged { job, spec }.serialize(serializer),
            JobSpec::Evaluate(spec) => Tagged { job, spec }.serialize(serializer),
            JobSpec::Quantize(spec) => Tagged { job, spec }.serialize(serializer),
            JobSpec::Import(spec) => Tagged { job, spec }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for JobSpec {
    /// A spec without a kind is a fine-tune: version 0.1 had no other jobs and wrote none.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let tag = fields.remove(TAG);
        let kind = tag.as_ref().map_or(Some(JobKind::Finetune.name()), Value::as_str);
        let fields = Value::Object(fields);
        match kind {
            Some(kind) if kind == JobKind::Finetune.name() => {
                FinetuneSpec::deserialize(fields).map(JobSpec::Finetune).map_err(D::Error::custom)
            }
            Some(kind) if kind == JobKind::Evaluate.name() => {
                EvaluateSpec::deserialize(fields).map(JobSpec::Evaluate).map_err(D::Error::custom)
            }
            Some(kind) if kind == JobKind::Quantize.name() => {
                QuantizeSpec::deserialize(fields).map(JobSpec::Quantize).map_err(D::Error::custom)
            }
            Some(kind) if kind == JobKind::Import.name() => {
                ImportSpec::deserialize(fields).map(JobSpec::Import).map_err(D::Error::custom)
            }
            Some(other) => Err(D::Error::unknown_variant(other, KINDS)),
            None => Err(D::Error::custom(format!("`{TAG}` is not a string"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::store::tests::{evaluation, spec};
    use super::*;

    #[test]
    fn an_evaluation_is_told_from_a_fine_tune_by_its_tag() {
        let job = evaluation("flowers");
        let tagged = serde_json::to_value(&job).unwrap();
        assert_eq!((&tagged["job"], &tagged["model"]), (&json!("evaluate"), &json!("flowers")));
        assert_eq!(serde_json::from_value::<JobSpec>(tagged).unwrap(), job);
    }

    #[test]
    fn an_import_keeps_its_files_and_is_not_tried_again_on_a_full_disk() {
        let job = JobSpec::Import(crate::imports::tests::import("flowers", "upload-a"));
        let tagged = serde_json::to_value(&job).unwrap();
        assert_eq!((&tagged["job"], &tagged["files"][0]["name"]), (&json!("import"), &json!("model.onnx")));
        assert_eq!(serde_json::from_value::<JobSpec>(tagged).unwrap(), job);
        let retried = [JobKind::Finetune, JobKind::Import].map(|kind| kind.tries_again("storage_full"));
        assert_eq!(retried, [true, false]);
        assert!(JobKind::Import.tries_again("store_failed") && !JobKind::Import.tries_again("model_refused"));
    }

    #[test]
    fn specs_are_tagged_and_those_of_older_databases_are_fine_tunes() {
        let job = spec("flowers");
        let mut tagged = serde_json::to_value(&job).unwrap();
        assert_eq!((&tagged["job"], &tagged["name"]), (&json!("finetune"), &json!("flowers")));
        assert_eq!(serde_json::from_value::<JobSpec>(tagged.clone()).unwrap(), job);
        tagged.as_object_mut().unwrap().remove("job");
        assert_eq!(serde_json::from_value::<JobSpec>(tagged.clone()).unwrap(), job);
        tagged["job"] = json!("paint");
        let error = serde_json::from_value::<JobSpec>(tagged).unwrap_err().to_string();
        assert!(error.starts_with("unknown variant `paint`"), "{error}");
    }
}
