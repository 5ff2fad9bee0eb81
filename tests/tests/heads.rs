//! How a head is chosen, end to end: said, reported, exported, trained through, and replaced.

use std::fs;

use models::ops::{Activation, Op};
use models::{Graph, ModelSpec, Network, Preprocess, init, zoo};
use serde_json::Value;
use tests::images::{color_folders, tiny_base_model, write};
use tests::server::{Sandbox, text};

/// A sandbox with a backbone that ends in a feature map of three by three pixels, and a data set of three plain colors.
fn sandbox() -> (Sandbox, String) {
    let preprocess = Preprocess::torchvision(96, 96);
    let graph = zoo::find("resnet18").expect("a network of the table").graph([96; 2], 10).expect("a graph");
    let graph = graph.normalized(&preprocess.normalize()).expect("a normalized graph");
    let pool = graph.find("avgpool").expect("its pooling");
    let backbone = graph.prefix(graph.node(pool).inputs[0]);
    let params = init::scrambled(&backbone, 3);
    let network = Network::new(backbone, &params, ModelSpec::new("backbone", None, preprocess)).expect("a network");
    let file = onnx::export(&network, &onnx::ExportOptions::default()).expect("a file");
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &file);
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 12);
    (sandbox, text(&data).to_owned())
}

fn report(sandbox: &Sandbox, name: &str) -> Value {
    let file = sandbox.path(&format!("data/models/{name}/1/report.json"));
    serde_json::from_slice(&fs::read(file).expect("a report")).expect("JSON")
}

/// The network of a stored file.
fn graph(sandbox: &Sandbox, name: &str) -> Graph {
    let file = fs::read(sandbox.path(&format!("data/models/{name}/1/model.onnx"))).expect("a stored model");
    onnx::import(file).expect("an ONNX file").graph
}

/// How many such nodes a network has up to its head's logits.
fn count(graph: &Graph, wanted: impl Fn(&Op) -> bool) -> usize {
    graph.nodes().iter().filter(|node| !node.name.starts_with("familiarity.") && wanted(&node.op)).count()
}

/// How many nodes take the signed square root and divide by the length.
fn steps(graph: &Graph) -> (usize, usize) {
    let root = Op::Activation(Activation::SignedSqrt);
    (count(graph, |op| *op == root), count(graph, |op| matches!(op, Op::L2Norm(_))))
}

#[test]
fn a_head_is_chosen_by_cross_validation_said_reported_and_exported() {
    let (sandbox, data) = sandbox();
    let output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "colors", "--views", "2"]);
    assert!(output.contains("in cross-validation on 27 training images, the best of 12 kinds"), "{output}");
    assert!(output.contains("test top-1 100.0 %") && !output.contains("epoch"), "{output}");
    let report = report(&sandbox, "colors");
    // Three of twelve images measure, and none is spent on validation.
    assert_eq!([&report["images"]["train"], &report["images"]["validation"]], [27, 0]);
    let candidates = report["head"]["candidates"].as_array().expect("candidates");
    assert_eq!(candidates.len(), 12);
    let best = &candidates[0];
    let expected = (usize::from(best["power"] == "signed_sqrt"), usize::from(best["scaling"] == "unit_length"));
    assert_eq!(steps(&graph(&sandbox, "colors")), expected, "{best}");
}

#[test]
fn layers_are_trained_through_whatever_the_head_does_to_features() {
    let (sandbox, data) = sandbox();
    let arguments = ["finetune", "--base", "base", "--data", &data, "--name", "tuned", "--strategy", "staged"];
    let tuning = ["--tuning-epochs", "2", "--tuning-batch-size", "8", "--tuning-learning-rate", "0.001"];
    let output = sandbox.succeed(&[&arguments[..], &tuning].concat());
    assert!(output.contains("test top-1 100.0 %"), "{output}");
}

#[test]
fn a_new_head_takes_the_place_of_the_old_one_with_its_steps() {
    let (sandbox, data) = sandbox();
    for (base, name) in [("base", "once"), ("once", "twice")] {
        let _output = sandbox.succeed(&["finetune", "--base", base, "--data", &data, "--name", name]);
        let graph = graph(&sandbox, name);
        let (powers, lengths) = steps(&graph);
        assert!(powers <= 1 && lengths <= 1, "{name}: {powers} powers, {lengths} lengths");
        let distances = graph.nodes().iter().filter(|node| matches!(node.op, Op::L2Length(_))).count();
        assert_eq!(distances, 1, "{name}");
    }
}

#[test]
fn the_articles_head_trains_on_cached_features_and_is_exported() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = text(&color_folders(sandbox.path("pictures"), 12)).to_owned();
    let arguments = ["finetune", "--base", "base", "--data", &data, "--name", "article", "--head", "article"];
    let output = sandbox.succeed(&[&arguments[..], &["--epochs", "12", "--batch-size", "6"]].concat());
    // 64 x 4096 + 4096 x 4096 + 4096 x 3 weights, and the biases.
    assert!(output.contains("two layers of 4096 on 64 features, 17.1 million weights"), "{output}");
    let top1 = report(&sandbox, "article")["test"]["top1"].as_f64().expect("a share");
    assert!(top1 > 0.8, "{output}");
    let linear = |name: &str| count(&graph(&sandbox, name), |op| matches!(op, Op::Linear(_)));
    assert_eq!(linear("article"), 3);
    // A new head takes the place of the last layer: the hidden ones are features now.
    let _output = sandbox.succeed(&["finetune", "--base", "article", "--data", &data, "--name", "again"]);
    assert_eq!(linear("again"), 3);
}

#[test]
fn folds_test_every_image_once_and_train_on_all() {
    let (sandbox, data) = sandbox();
    let output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "folds", "--folds", "4"]);
    assert!(output.contains("fold 4 of 4: 100.0 % of 9 images"), "{output}");
    assert!(output.contains("4 folds, each image tested once: mean 100.0 %"), "{output}");
    let report = report(&sandbox, "folds");
    assert_eq!([&report["images"]["train"], &report["images"]["test"], &report["test"]["images"]], [36, 0, 36]);
    assert_eq!(report["folds"]["folds"].as_array().expect("folds").len(), 4);
    let page = sandbox.path("folds.html");
    let _output = sandbox.succeed(&["report", "folds", "--out", text(&page)]);
    assert!(fs::read_to_string(page).expect("a page").contains("divided into 4 parts"));
    // All images have trained, so that none is left to measure the model by.
    let error = sandbox.fail(&["evaluate", "--model", "folds", "--data", &data, "--subset", "test"]);
    assert!(error.contains("gives no `test` images"), "{error}");
}
