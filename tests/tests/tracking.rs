//! Fine-tunes as runs of a tracking server, which answers as `MLflow` 3.17 does. `tests/interop/check_mlflow.py` asks the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::images::{color_folders, tiny_base_model, write};
use tests::receiver::{Received, Receiver};
use tests::server::{Sandbox, json, text};

/// `MLflow`'s answers, shortened to what is read of them.
fn mlflow(request: &Received) -> (u16, Value) {
    let path = request.path.split('?').next().unwrap_or_default();
    let info = json!({"run_id": "5f3c", "artifact_uri": "mlflow-artifacts:/1/5f3c/artifacts"});
    match (request.method.as_str(), path) {
        ("GET", "/api/2.0/mlflow/experiments/get-by-name") => (
            404,
            json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Could not find experiment with name 'flowers'"}),
        ),
        ("POST", "/api/2.0/mlflow/experiments/create") => (200, json!({"experiment_id": "1"})),
        ("POST", "/api/2.0/mlflow/runs/create") | ("GET", "/api/2.0/mlflow/runs/get") => {
            (200, json!({"run": {"info": info}}))
        }
        ("POST", "/api/2.0/mlflow/runs/log-batch") => (200, json!({})),
        ("POST", "/api/2.0/mlflow/runs/update") => (200, json!({"run_info": info})),
        ("PUT", path) if path.starts_with("/api/2.0/mlflow-artifacts/artifacts/1/5f3c/artifacts/") => (200, json!({})),
        _ => (404, json!({"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"})),
    }
}

#[test]
fn a_run_has_the_options_the_epochs_the_result_and_the_report_and_waits_for_a_server_that_fails() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 8);
    let working = Arc::new(AtomicBool::new(false));
    let tracking = Receiver::start({
        let working = working.clone();
        move |request| {
            let down = (503, json!({"message": "down"}));
            let (status, body) = if working.load(Ordering::SeqCst) { mlflow(request) } else { down };
            (status, body.to_string().into_bytes())
        }
    });
    let server = sandbox.serve(&["--mlflow-url", tracking.url(), "--mlflow-experiment", "flowers"]);
    let options = json!({"head_solver": "sgd", "epochs": 4, "validation": 0.2});
    let dataset = json!({"kind": "folder", "path": data});
    let request = json!({"base_model": "base", "name": "colors", "dataset": dataset, "options": options});
    let id = json(server.post_json("/finetune", &request))["id"].as_str().expect("an id").to_owned();
    let job = server.finished(&id);
    assert_eq!(job["state"], "succeeded", "a tracking server that fails costs nothing");
    server.wait("it was tried", || (!tracking.requests().is_empty()).then_some(()));
    working.store(true, Ordering::SeqCst);
    let requests = server.wait("the run has ended", || {
        let requests = tracking.requests();
        requests.iter().any(|request| request.path.ends_with("/runs/update")).then_some(requests)
    });

    let bodies = |end: &str| -> Vec<Value> {
        requests.iter().filter(|request| request.path.ends_with(end)).map(Received::json).collect()
    };
    let created = bodies("/runs/create").pop().expect("a run");
    assert_eq!((&created["experiment_id"], &created["run_name"]), (&json!("1"), &json!("colors")));
    let batches = bodies("/runs/log-batch");
    let entries = |kind: &str| -> Vec<Value> {
        batches.iter().filter_map(|batch| batch[kind].as_array().cloned()).flatten().collect()
    };
    let params = entries("params");
    for (key, value) in [("base_model", "base"), ("epochs", "4"), ("tuning.epochs", "12")] {
        assert!(params.contains(&json!({"key": key, "value": value})), "{key}: {params:?}");
    }
    let metrics = entries("metrics");
    let steps = metrics.iter().filter(|metric| metric["key"] == "train_loss").map(|metric| metric["step"].clone());
    assert_eq!(steps.collect::<Vec<_>>(), [1, 2, 3, 4]);
    let top1 = metrics.iter().find(|metric| metric["key"] == "test_top1").map(|metric| metric["value"].clone());
    assert_eq!(top1.as_ref(), Some(&job["result"]["metrics"]["test_top1"]));
    assert!(entries("tags").contains(&json!({"key": "graft.model_version", "value": "1"})));
    let files = requests.iter().filter(|request| request.method == "PUT");
    let files: Vec<(&str, usize)> =
        files.map(|file| (file.path.rsplit('/').next().unwrap_or_default(), file.body.len())).collect();
    assert!(matches!(files[..], [("report.json", 1..), ("report.html", 1..)]), "{files:?}");
    let end = bodies("/runs/update").pop().expect("an end");
    assert_eq!((&end["run_id"], &end["status"]), (&json!("5f3c"), &json!("FINISHED")));
}
