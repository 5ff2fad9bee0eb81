//! The kinds of jobs.

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::finetune::FinetuneSpec;

/// The work of one job. In the database and between processes it is a JSON object whose field `job` names the kind.
#[derive(Debug, Clone, PartialEq)]
pub enum JobSpec {
    /// Train a new model on a stored one and publish it.
    Finetune(FinetuneSpec),
}

const TAG: &str = "job";
const FINETUNE: &str = "finetune";

impl Serialize for JobSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tagged<'a, T> {
            job: &'static str,
            #[serde(flatten)]
            spec: &'a T,
        }
        match self {
            JobSpec::Finetune(spec) => Tagged { job: FINETUNE, spec }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for JobSpec {
    /// A spec without a kind is a fine-tune: version 0.1 had no other jobs and wrote none.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let kind = fields.remove(TAG);
        match kind.as_ref().map_or(Some(FINETUNE), Value::as_str) {
            Some(FINETUNE) => {
                FinetuneSpec::deserialize(Value::Object(fields)).map(JobSpec::Finetune).map_err(D::Error::custom)
            }
            Some(other) => Err(D::Error::unknown_variant(other, &[FINETUNE])),
            None => Err(D::Error::custom(format!("`{TAG}` is not a string"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::store::tests::spec;
    use super::*;

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
