//! The kinds of jobs.

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::evaluate::EvaluateSpec;
use crate::finetune::FinetuneSpec;
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
            _ => false,
        }
    }
}

const TAG: &str = "job";
const KINDS: &[&str] = &[JobKind::Finetune.name(), JobKind::Evaluate.name(), JobKind::Quantize.name()];

impl JobKind {
    /// Its word in the database and in addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Evaluate => "evaluate",
            Self::Quantize => "quantize",
        }
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
