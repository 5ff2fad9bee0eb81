//! Images of several classes, from a table or a form to a classifier that answers all of them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::images::{base_model, color_folders, color_stripes, stripes, write};
use tests::server::{Request, Sandbox, json, text};

/// A sandbox with a stored base, and a table of 64 images, eight of each set of three classes.
fn sandbox() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let table = color_stripes(&sandbox.path(""), 64);
    (sandbox, table)
}

fn report(sandbox: &Sandbox, name: &str) -> Value {
    let file = sandbox.path(&format!("data/models/{name}/1/report.json"));
    serde_json::from_slice(&fs::read(file).expect("a report")).expect("JSON")
}

/// The classes that an answer says are there.
fn present(answer: &Value) -> Vec<&str> {
    let predictions = answer["predictions"].as_array().expect("predictions").iter();
    let mut labels: Vec<&str> =
        predictions.filter(|one| one["present"] == true).filter_map(|one| one["label"].as_str()).collect();
    labels.sort_unstable();
    labels
}

#[test]
fn a_table_of_bits_becomes_a_model_that_answers_all_classes_above_their_thresholds() {
    let (sandbox, table) = sandbox();
    let output = sandbox.succeed(&["finetune", "--base", "base", "--data", text(&table), "--name", "stripes"]);
    // Plain colors in plain places: anything but a perfect result is a defect.
    assert!(output.contains("test mAP 100.0 %") && output.contains("all classes right 100.0 %"), "{output}");
    assert!(output.contains("classes count as present from scores of"), "{output}");
    let report = report(&sandbox, "stripes");
    assert_eq!((&report["dataset"]["multi_label"], &report["test"]["exact"]), (&json!(true), &json!(1.0)));
    assert_eq!(report["calibration"]["fitted_on"], "cross_validation");

    // The file itself says what it is, and makes scores by a sigmoid.
    let file = fs::read(sandbox.path("data/models/stripes/1/model.onnx")).unwrap();
    let spec = onnx::metadata::spec(&file).unwrap().unwrap();
    assert_eq!(spec.scores.kind, models::scores::ScoreKind::Sigmoid);
    let thresholds = spec.scores.thresholds.expect("thresholds");
    assert!(
        thresholds.len() == 3 && thresholds.iter().all(|threshold| (0.05..0.95).contains(threshold)),
        "{thresholds:?}"
    );

    for (classes, name) in [(&["blue", "red"][..], "two.bmp"), (&["green"], "one.bmp"), (&[], "none.bmp")] {
        let picture = sandbox.path(name);
        write(&picture, &stripes(classes));
        let arguments = ["classify", "--model", "stripes", "--top-k", "1", text(&picture)];
        let line = sandbox.succeed(&[&arguments[..], &["--format", "jsonl"]].concat());
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(present(&answer), classes, "{answer}");
        assert_eq!(answer["scores"], "sigmoid");
        let csv = sandbox.succeed(&[&arguments[..], &["--format", "csv"]].concat());
        let mut rows = csv.lines();
        assert_eq!(rows.next(), Some("file,model,version,labels,scores,label_1,score_1,error,uncertain"));
        let mut labels: Vec<&str> =
            rows.next().unwrap().split(',').nth(3).unwrap().split('|').filter(|l| !l.is_empty()).collect();
        labels.sort_unstable();
        assert_eq!(labels, classes, "{csv}");
    }
    // A threshold that is asked for counts instead.
    let one = sandbox.path("one.bmp");
    let line =
        sandbox.succeed(&["classify", "--model", "stripes", "--threshold", "0", "--format", "jsonl", text(&one)]);
    assert_eq!(present(&serde_json::from_str(&line).unwrap()), ["blue", "green", "red"]);
}

#[test]
fn it_is_evaluated_reported_and_doubted_as_other_models_are() {
    let (sandbox, table) = sandbox();
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", text(&table), "--name", "stripes"]);
    let arguments = ["evaluate", "--model", "stripes", "--data", text(&table), "--subset", "test"];
    let output = sandbox.succeed(&arguments);
    assert!(output.contains("mAP 100.0 %") && output.contains("THRESHOLD"), "{output}");
    let evaluated: Value =
        serde_json::from_str(&sandbox.succeed(&[&arguments[..], &["--output", "json"]].concat())).unwrap();
    let report = report(&sandbox, "stripes");
    // The same images, drawn again by the seed.
    assert_eq!(evaluated["result"]["images"], report["test"]["images"]);
    assert_eq!(evaluated["result"]["mean_average_precision"], report["test"]["mean_average_precision"]);

    let page = sandbox.path("stripes.html");
    let _output = sandbox.succeed(&["report", "stripes", "--out", text(&page)]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("mean average precision") && page.contains("threshold"), "its figures");
    assert!(!page.contains("Confusion matrix"), "classes beside each other are not taken for one another");

    // Images that are said to show nothing, and one that is said to show everything.
    let wrong = fs::read_to_string(&table).unwrap().replace("images/007.bmp,1,1,1", "images/007.bmp,0,0,0");
    write(&sandbox.path("wrong.csv"), wrong.as_bytes());
    let output =
        sandbox.succeed(&["data", "check", text(&sandbox.path("wrong.csv")), "--base", "base", "--format", "json"]);
    let checked: Value = serde_json::from_str(&output).unwrap();
    assert!(checked.to_string().contains("007.bmp") && checked.to_string().contains("\"none\""), "{checked}");

    // Classes that exclude each other are not measured on images of several.
    let folders = color_folders(sandbox.path("pictures"), 12);
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", text(&folders), "--name", "colors"]);
    let error = sandbox.fail(&["evaluate", "--model", "colors", "--data", text(&table)]);
    assert!(error.contains("exclude each other"), "{error}");
}

#[test]
fn layers_of_the_base_and_heads_by_sgd_learn_several_classes_too() {
    let (sandbox, table) = sandbox();
    for (name, more) in [
        ("staged", &["--strategy", "staged", "--tuning-epochs", "2", "--tuning-learning-rate", "0.001"][..]),
        ("sgd", &["--head-solver", "sgd", "--epochs", "30"]),
        ("balanced", &["--class-weights", "balanced"]),
        ("weighted", &["--class-weights", "red=4"]),
        ("folds", &["--folds", "4"]),
    ] {
        let arguments = ["finetune", "--base", "base", "--data", text(&table), "--name", name, "--validation", "0.1"];
        let output = sandbox.succeed(&[&arguments[..], more].concat());
        let report = report(&sandbox, name);
        let precision = report["test"]["mean_average_precision"].as_f64().expect("a share");
        assert!(precision > 0.99, "{name}: {output}");
    }
    let error = sandbox.fail(&[
        "finetune",
        "--base",
        "base",
        "--data",
        text(&table),
        "--name",
        "x",
        "--class-weights",
        "rad=4",
    ]);
    assert!(error.contains("did you mean `red`?"), "{error}");
}

#[test]
fn stored_images_have_several_labels_over_http_and_come_out_as_a_table() {
    let (sandbox, table) = sandbox();
    let server = sandbox.serve(&[]);
    assert_eq!(server.post_json("/datasets", &json!({"name": "stripes"})).status(), 201);
    let add = |label: &str, number: u8| {
        let bytes = fs::read(sandbox.path(&format!("images/{number:03}.bmp"))).unwrap();
        server.post_labeled("/datasets/stripes/images", ("a.bmp", bytes), label)
    };
    let classes = |number: u8| {
        let all = ["blue", "green", "red"].into_iter().enumerate();
        all.filter(|(class, _)| number >> class & 1 == 1).map(|(_, class)| class).collect::<Vec<_>>()
    };
    for number in 0..64 {
        let label = if classes(number).is_empty() { "/".to_owned() } else { classes(number).join("/") };
        assert_eq!(add(&label, number).status(), 200, "{label}");
    }
    let detail = json(server.get("/datasets/stripes"));
    let counts = ["blue", "green", "red"].map(|label| json!({"label": label, "images": 32}));
    assert_eq!(detail["classes"], json!(counts), "{detail}");
    let page = json(server.get("/datasets/stripes/images?label=red&limit=1000"));
    assert_eq!(page["data"].as_array().unwrap().len(), 32);

    // One is labeled wrongly, and then rightly.
    let image =
        page["data"].as_array().unwrap().iter().find(|image| image["labels"] == json!(["blue", "red"])).unwrap();
    let address = format!("/datasets/stripes/images/{}", image["id"].as_str().unwrap());
    for (label, labels) in [("green", json!(["green"])), ("red/blue", json!(["blue", "red"]))] {
        let body = json!({"label": label}).to_string().into_bytes();
        let headers = [("content-type", "application/json".to_owned())];
        let changed = json(server.request(Request { method: "PATCH", path: &address, headers: &headers, body }));
        assert_eq!(changed["labels"], labels, "{changed}");
    }

    let zip = server.get("/datasets/stripes/archive").bytes().unwrap();
    write(&sandbox.path("stripes.zip"), &zip);
    let [ours, theirs] = [text(&table), text(&sandbox.path("stripes.zip"))].map(|data| {
        let output = sandbox.succeed(&["data", "check", data, "--format", "json"]);
        serde_json::from_str::<Value>(&output).unwrap()["dataset"]["classes"].clone()
    });
    assert_eq!(ours, theirs);

    let request = json!({"base_model": "base", "name": "mine", "dataset": {"kind": "stored", "name": "stripes"}});
    let id = json(server.post_json("/finetune", &request))["id"].as_str().unwrap().to_owned();
    let job = server.finished(&id);
    assert_eq!(job["state"], "succeeded", "{job}");
    let model = json(server.get("/models/mine"));
    assert_eq!((&model["scores"], model["thresholds"].as_array().unwrap().len()), (&json!("sigmoid"), 3));
    for classes in [&["blue", "green"][..], &["red"], &[], &["blue", "green", "red"]] {
        let answer = json(server.post("/classify/bytes?model=mine&top_k=1", "image/bmp", stripes(classes)));
        assert_eq!(present(&answer["results"][0]), classes, "{answer}");
        assert!(answer["threshold"].is_null(), "each class has its own: {answer}");
    }
}
