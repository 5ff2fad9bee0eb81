//! A job in the words of a tracking server: parameters, tags, and measurements by step.

use serde_json::{Value, json};
use trainer::events::Event;

use super::mlflow::{Metric, RunBegin};
use crate::jobs::{JobEvent, JobRecord, JobSpec};

/// The longest value of a parameter.
const LONGEST: usize = 500;

/// What is known when a job begins.
pub(super) fn begin(job: &JobRecord) -> RunBegin {
    let mut params = Vec::new();
    let mut name = job.id.to_string();
    if let JobSpec::Finetune(spec) = &job.spec {
        name = spec.name.to_string();
        flatten("", &json!({"base_model": spec.base_model, "dataset": spec.dataset}), &mut params);
        flatten("", &json!(spec.options), &mut params);
    }
    let tags = [
        ("mlflow.source.name", "graft".to_owned()),
        ("mlflow.source.type", "JOB".to_owned()),
        ("graft.job", job.id.to_string()),
        ("graft.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    RunBegin {
        name,
        start: job.started_at.unwrap_or(job.created_at).as_millisecond(),
        params,
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

/// The measurements of an event.
pub(super) fn metrics(event: &JobEvent) -> Vec<Metric> {
    let timestamp = event.at.as_millisecond();
    let metric = |key: &str, value: f64, step: i64| Metric { key: key.to_owned(), value, timestamp, step };
    match &event.event {
        Event::Epoch { epoch, train_loss, validation_loss, validation_top1, .. } => {
            let step = *epoch as i64;
            let found = [
                ("train_loss", Some(*train_loss)),
                ("validation_loss", *validation_loss),
                ("validation_top1", *validation_top1),
            ];
            let finite = found.into_iter().filter_map(|(key, value)| Some((key, value.filter(|x| x.is_finite())?)));
            finite.map(|(key, value)| metric(key, value, step)).collect()
        }
        Event::Metrics { metrics } => {
            let numbers = metrics.as_object().into_iter().flatten();
            numbers.filter_map(|(key, value)| Some(metric(key, value.as_f64()?, 0))).collect()
        }
        _ => vec![],
    }
}

/// The fields of an object by name, those of objects in it behind a dot.
fn flatten(prefix: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, value, into);
            }
        }
        Value::String(text) => into.push((prefix.to_owned(), text.chars().take(LONGEST).collect())),
        other => into.push((prefix.to_owned(), other.to_string().chars().take(LONGEST).collect())),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn measured(event: Event) -> Vec<(String, f64, i64)> {
        let event = JobEvent { seq: 1, attempt: 1, at: Timestamp::from_millisecond(1_700).unwrap(), event };
        let metrics = metrics(&event);
        assert!(metrics.iter().all(|metric| metric.timestamp == 1_700));
        metrics.into_iter().map(|metric| (metric.key, metric.value, metric.step)).collect()
    }

    #[test]
    fn epochs_are_steps_and_results_are_numbers() {
        let epoch = Event::Epoch {
            epoch: 3,
            epochs: 12,
            train_loss: 0.5,
            validation_loss: Some(f64::NAN),
            validation_top1: Some(0.75),
        };
        let expected = [("train_loss".to_owned(), 0.5, 3), ("validation_top1".to_owned(), 0.75, 3)];
        assert_eq!(measured(epoch), expected, "what is no number is no measurement");
        let result = Event::Metrics { metrics: json!({"test_top1": 0.9, "best_epoch": null, "test_images": 340}) };
        assert_eq!(measured(result), [("test_images".to_owned(), 340.0, 0), ("test_top1".to_owned(), 0.9, 0)]);
        assert_eq!(measured(Event::Note { message: "chosen".to_owned() }), []);
    }

    #[test]
    fn options_are_parameters_with_their_path() {
        let mut params = Vec::new();
        flatten("", &json!({"views": 2, "tuning": {"epochs": 12, "augmentation": "standard"}}), &mut params);
        params.sort();
        let expected = [("tuning.augmentation", "standard"), ("tuning.epochs", "12"), ("views", "2")];
        assert_eq!(params, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
