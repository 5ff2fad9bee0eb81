//! `graft import` of files of weights and of ONNX files in several pieces.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use models::{Params, Tensor, init, weights, zoo};
use serde_json::{Value, json};
use tests::server::Sandbox;
use tests::{generated, images};

/// Random weights of a network of the tables for this many classes.
fn random(name: &str, classes: usize) -> Params {
    let row = zoo::find(name).unwrap();
    init::scrambled(&row.graph(row.input(), classes).unwrap(), 6)
}

/// Writes weights and answers the file's path.
fn safetensors(sandbox: &Sandbox, params: &Params) -> String {
    let path = sandbox.path("weights.safetensors");
    images::write(&path, &weights::write_safetensors(params).unwrap());
    path.display().to_string()
}

/// A copy with some tensors changed.
fn changed(params: &Params, change: impl Fn(&str, &Tensor) -> Option<(String, Tensor)>) -> Params {
    params.iter().filter_map(|(name, tensor)| change(name, tensor)).collect()
}

fn spec(sandbox: &Sandbox, model: usize) -> Value {
    let models: Value = serde_json::from_str(&sandbox.succeed(&["models", "--json"])).unwrap();
    models[model]["spec"].clone()
}

#[test]
fn weights_find_their_network_and_their_classes_by_themselves() {
    let sandbox = Sandbox::default();
    let file = safetensors(&sandbox, &random("resnet20_cifar", 7));
    let printed = sandbox.succeed(&["import", &file, "--name", "small"]);
    assert!(printed.contains("for resnet20_cifar") && printed.contains("7 classes"), "{printed}");
    let spec = spec(&sandbox, 0);
    assert_eq!(spec["architecture"], "resnet20_cifar");
    assert_eq!(spec["preprocess"]["resize"], json!({"mode": "exact", "height": 32, "width": 32}));
    let printed = sandbox.succeed(&["import", &file, "--name", "large", "--size", "48x64"]);
    assert!(printed.contains("squashed to 48x64"), "{printed}");
    let printed = sandbox.succeed(&["check", &file]);
    assert!(printed.contains("resnet20_cifar: weights alone"), "{printed}");
}

#[test]
fn weights_that_fit_several_networks_want_a_name() {
    let sandbox = Sandbox::default();
    let file = safetensors(&sandbox, &random("tflearn_resnet32", 10));
    let error = sandbox.fail(&["import", &file, "--name", "small"]);
    assert!(error.contains("tflearn_resnet32, tflearn_resnet32_mean"), "{error}");
    assert!(error.contains("--arch"), "{error}");
    let printed = sandbox.succeed(&["import", &file, "--name", "small", "--arch", "tflearn_resnet32_mean"]);
    assert!(printed.contains("tflearn_resnet32_mean, 10 classes"), "{printed}");
    let error = sandbox.fail(&["import", &file, "--name", "small", "--arch", "tflearn"]);
    assert!(error.contains("no network `tflearn`") && error.contains("vgg16"), "{error}");
}

#[test]
fn a_tensor_too_few_too_many_or_misshapen_is_named_with_both_shapes() {
    let sandbox = Sandbox::default();
    let whole = random("resnet20_cifar", 10);
    let same = |name: &str, tensor: &Tensor| Some((name.to_owned(), tensor.clone()));
    let import = |params: &Params| {
        let file = safetensors(&sandbox, params);
        sandbox.fail(&["import", &file, "--name", "small", "--arch", "resnet20_cifar"])
    };
    let fewer = changed(&whole, |name, tensor| if name == "layer2.0.conv1.weight" { None } else { same(name, tensor) });
    let error = import(&fewer);
    assert!(error.contains("`layer2.0.conv1.weight` is missing"), "{error}");
    let misshapen = changed(&whole, |name, tensor| match name {
        "layer3.0.conv1.weight" => Some((name.to_owned(), Tensor::new([64, 32, 9], tensor.data().to_vec()))),
        _ => same(name, tensor),
    });
    let error = import(&misshapen);
    assert!(error.contains("`layer3.0.conv1.weight`"), "{error}");
    assert!(error.contains("[64, 32, 9]") && error.contains("[64, 32, 3, 3]"), "{error}");
    let mut more = whole.clone();
    more.insert("layer4.0.conv1.weight", Tensor::new([2, 2], vec![0.0; 4]));
    let error = import(&more);
    assert!(error.contains("`layer4.0.conv1.weight` of shape [2, 2]"), "{error}");
    // Without a name the nearest network is.
    let file = safetensors(&sandbox, &fewer);
    let error = sandbox.fail(&["import", &file, "--name", "small"]);
    assert!(error.contains("the nearest is resnet20_cifar: tensor `layer2.0.conv1.weight` is missing"), "{error}");
    assert!(!sandbox.path("data/models/small").exists());
}

#[test]
fn weights_with_keras_names_are_prepared_as_keras_does_in_whatever_file() {
    let sandbox = Sandbox::default();
    // The network of `keras.applications.VGG16` without its linear layers, its kernels `[kh, kw, in, out]`.
    let mut keras = Params::default();
    let mut channels = 3;
    for (block, (width, convolutions)) in (1..).zip([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]) {
        for convolution in 1..=convolutions {
            let name = format!("block{block}_conv{convolution}");
            let kernel = vec![0.01; 9 * channels * width];
            keras.insert(format!("{name}/kernel"), Tensor::new([3, 3, channels, width], kernel));
            keras.insert(format!("{name}/bias"), Tensor::new([width], vec![0.0; width]));
            channels = width;
        }
    }
    let file = safetensors(&sandbox, &keras);
    let printed = sandbox.succeed(&["import", &file, "--name", "keras", "--size", "32"]);
    assert!(printed.contains("the names of Keras, for vgg16"), "{printed}");
    assert!(printed.contains("BGR, mean 0.4850 0.4580 0.4076"), "{printed}");
    // What graft itself keeps says how its images are prepared.
    let weights = sandbox.path("data/models/keras/1/weights.safetensors").display().to_string();
    let printed = sandbox.succeed(&["import", &weights, "--name", "again"]);
    assert!(printed.contains("as the file says"), "{printed}");
    let [first, second] = ["keras", "again"]
        .map(|name| std::fs::read(sandbox.path(&format!("data/models/{name}/1/weights.safetensors"))).unwrap());
    assert!(weights::read_network(&first).unwrap() == weights::read_network(&second).unwrap(), "the networks differ");
    let error = sandbox.fail(&["import", &weights, "--name", "again", "--arch", "vgg16"]);
    assert!(error.contains("holds its network itself"), "{error}");
}

#[test]
fn weights_without_a_classifier_are_a_backbone_that_can_be_grafted_upon() {
    let sandbox = Sandbox::default();
    let whole = random("resnet18", 10);
    let features =
        changed(&whole, |name, tensor| (!name.starts_with("fc.")).then(|| (name.to_owned(), tensor.clone())));
    let not_a_number = changed(&whole, |name, tensor| {
        let numbers =
            if name.starts_with("fc.") { vec![f32::NAN; tensor.data().len()] } else { tensor.data().to_vec() };
        Some((name.to_owned(), Tensor::new(tensor.shape(), numbers)))
    });
    for (name, params) in [("absent", features), ("nan", not_a_number)] {
        let file = safetensors(&sandbox, &params);
        let printed = sandbox.succeed(&["import", &file, "--name", name, "--arch", "resnet18", "--size", "64"]);
        assert!(printed.contains("a backbone with output [n, 512]"), "{printed}");
    }
    let data = images::color_folders(sandbox.path("colours"), 12).display().to_string();
    let printed = sandbox.succeed(&["finetune", "--base", "absent", "--data", &data, "--name", "colours"]);
    assert!(printed.contains("stored `colours` version 1"), "{printed}");
}

#[test]
fn weights_beside_an_onnx_file_are_read_and_their_absence_is_named() {
    let sandbox = Sandbox::default();
    // The location of this file's weights says how to make them; here they are made, under those names.
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/exporters/torch_dynamo_shufflenet_v2_x0_5.onnx");
    let bytes = std::fs::read(&model).unwrap();
    let copy = sandbox.path("model.onnx");
    images::write(&copy, &bytes);
    let file = copy.display().to_string();
    let error = sandbox.fail(&["import", &file, "--name", "small"]);
    assert!(error.contains("are in a second file") && error.contains("No such file"), "{error}");
    let mut count = 0;
    let _ = onnx::ModelFile::decode_with(bytes, &mut |location: &str| {
        let content = generated::external(location)?;
        images::write(&sandbox.path(location), &content);
        count += 1;
        Ok(content)
    });
    assert!(count > 50, "{count} second files");
    let printed = sandbox.succeed(&["import", &file, "--name", "small", "--preprocess", "keras-tf"]);
    assert!(printed.contains("images are prepared as asked: squashed to 64x64"), "{printed}");
    assert!(sandbox.succeed(&["check", &file]).contains("pytorch"));
}

#[test]
fn contradictions_are_refused() {
    let sandbox = Sandbox::default();
    let model = sandbox.path("base.onnx");
    images::write(&model, &images::base_model());
    let file = model.display().to_string();
    let import = |more: &[&str]| sandbox.fail(&[&["import", &file, "--name", "x"], more].concat());
    assert!(import(&["--arch", "resnet18"]).contains("holds its network itself"));
    assert!(import(&["--preprocess", "zero-one"]).contains("it says itself how its images are prepared"));
    assert!(import(&["--mean", "0.5"]).contains("it says itself how its images are prepared"));
    assert!(import(&["--size", "96"]).contains("64 x 64 pixels and no others"));
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/spellings/gemm.onnx").display().to_string();
    let import = |more: &[&str]| sandbox.fail(&[&["import", &foreign, "--name", "x"], more].concat());
    for (more, reason) in [
        (&["--mean", "1,2"][..], "one number, or three"),
        (&["--std", "0"], "above zero"),
        (&["--mean", "123", "--pixel-max", "100"], "--pixel-max is 1 or 255"),
        (&["--crop", "none", "--resize", "none"], "any size"),
        (&["--resize", "0"], "neither none, exact, nor"),
        (&["--size", "7x"], "is no size"),
    ] {
        let error = import(more);
        assert!(error.contains(reason), "{more:?}: {error}");
    }
}
