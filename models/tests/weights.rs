//! Files of weights: every form of them, what must be refused, and what is damaged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::ops::{Conv2d, Dropout, Flatten, Linear, MaxPool, Relu, Shape, Window};
use models::weights::{
    self, FitError, KerasError, Naming, PyTorchError, StateDict, TooLarge, WeightsError, WeightsFormat,
};
use models::{Graph, GraphBuilder, Params, Tensor, init};
use serde::Deserialize;
use serde_json::Value;

/// What a script says is in a file.
#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    values: Vec<Value>,
}

type Tensors = BTreeMap<String, Expected>;

/// Written by `models/reference/weights.py`.
#[derive(Deserialize)]
struct Manifest {
    tensors: BTreeMap<String, Tensors>,
    files: BTreeMap<String, String>,
}

/// Written by `models/reference/weights_keras.py`.
#[derive(Deserialize)]
struct KerasManifest {
    file: Tensors,
    torch: Tensors,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/weights")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read(name: &str) -> StateDict {
    weights::read(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    serde_json::from_slice(&file(name)).unwrap()
}

/// Equal bit for bit, names included.
fn compare(actual: &Params, expected: &Tensors, place: &str) {
    let names: Vec<&str> = actual.iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{place}");
    for (name, Expected { shape, values }) in expected {
        let tensor = actual.get(name).unwrap();
        assert_eq!(tensor.shape(), shape, "{place}: {name}");
        let values: Vec<u32> = values.iter().map(|value| number(value).to_bits()).collect();
        let actual: Vec<u32> = tensor.data().iter().map(|number| number.to_bits()).collect();
        assert_eq!(actual, values, "{place}: {name}");
    }
}

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap()) as f32
}

#[test]
fn every_form_of_file_holds_what_was_put_in() {
    let manifest: Manifest = json("expected.json");
    assert_eq!(manifest.files.len(), 15);
    for (name, tensors) in &manifest.files {
        let state = read(name);
        let format = match name.as_str() {
            "legacy.pth" | "legacy_4.pth" | "ancient.pth" | "nested.pth" => WeightsFormat::PyTorchLegacy,
            "all.safetensors" | "real.safetensors" => WeightsFormat::Safetensors,
            _ => WeightsFormat::PyTorch,
        };
        assert_eq!(state.format, format, "{name}");
        compare(&state.tensors, &manifest.tensors[tensors], name);
    }
}

#[test]
fn keras_files_hold_what_was_put_in_whatever_their_layout() {
    let manifest: KerasManifest = json("keras_expected.json");
    for name in ["keras_published.h5", "keras_packed.h5", "keras_model.h5"] {
        let state = read(name);
        assert_eq!(state.format, WeightsFormat::Keras, "{name}");
        compare(&state.tensors, &manifest.file, name);
    }
    let state = read("keras.keras");
    assert_eq!(state.format, WeightsFormat::KerasArchive);
    compare(&state.tensors, &manifest.file, "keras.keras");
    let inner = read_weights_h5();
    let state = weights::read(inner).unwrap();
    assert_eq!(state.format, WeightsFormat::Keras);
    compare(&state.tensors, &manifest.file, "keras.weights.h5");
    let only: Tensors = manifest.file.into_iter().filter(|(name, _)| name.starts_with("block")).collect();
    compare(&read("keras_notop.h5").tensors, &only, "keras_notop.h5");
}

/// What Keras's `save_weights` writes is also inside of its archives.
fn read_weights_h5() -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file("keras.keras"))).unwrap();
    let mut bytes = Vec::new();
    std::io::copy(&mut archive.by_name("model.weights.h5").unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn what_cannot_be_read_is_refused_by_name_and_with_advice() {
    for (name, words) in [
        ("module.pth", &["torch.nn.modules.activation.Softmax", "state_dict()"][..]),
        ("module_inside.pth", &["torch.nn.modules.activation.ReLU", "under `model`", "state_dict()"]),
        ("two.pth", &["`model`", "`net`", "save the one"]),
        ("average.pth", &["`model`", "`model_ema`", "save the one"]),
        ("without.pth", &["a dictionary of `epoch`, `optimizer` without tensors", "state_dict()"]),
        ("negative.pth", &["negated", "resolve_neg()"]),
        ("sparse.pth", &["`weight`", "_rebuild_sparse_tensor", ".to_dense()"]),
        ("integers.pth", &["`weight`", "CharStorage"]),
        ("torchscript.pt", &["TorchScript", "torch.jit.load"]),
        ("big_endian.pth", &["big-endian"]),
    ] {
        let error = weights::read(file(name)).unwrap_err().to_string();
        words.iter().for_each(|words| assert!(error.contains(words), "{name}: {error}"));
    }
    let error = weights::read(b"<html>404</html>".to_vec()).unwrap_err().to_string();
    assert!(error.contains("web page") && error.contains("safetensors") && error.contains(".h5"), "{error}");
    // Python's `pickle.dumps([1])`.
    let error = weights::read(b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00]\x94K\x01a.".to_vec()).unwrap_err();
    assert!(matches!(error, WeightsError::PyTorch(PyTorchError::ForeignPickle)), "{error}");
}

#[test]
fn a_pickle_that_runs_a_command_runs_nothing() {
    let error = weights::read(file("command.pth")).unwrap_err().to_string();
    assert!(error.contains("`posix.system`") && error.contains("no state dict"), "{error}");
    let error = weights::read(file("command_inside.pth")).unwrap_err().to_string();
    assert!(error.contains("`bias`") && error.contains("`posix.system`"), "{error}");
    assert!(!Path::new("executed-by-a-pickle").exists());
}

#[test]
fn a_file_gets_no_more_memory_than_its_size_warrants() {
    // One number, seen as a matrix of four terabytes.
    let error = weights::read(file("expanded.pth")).unwrap_err();
    assert!(matches!(error, WeightsError::PyTorch(PyTorchError::TooLarge(TooLarge { .. }))), "{error}");
}

#[test]
fn keras_weights_fit_in_pytorchs_layout() {
    let manifest: KerasManifest = json("keras_expected.json");
    let graph = small(3);
    for name in ["keras_published.h5", "keras_model.h5", "keras.keras"] {
        let fitted = weights::fit(&graph, &read(name)).unwrap();
        assert_eq!(fitted.naming, Naming::Keras, "{name}");
        compare(&fitted.params, &manifest.torch, name);
    }
}

#[test]
fn timms_weights_fit_by_their_shapes_alone() {
    let graph = small(3);
    let own = init::scrambled(&graph, 1);
    let mut timm = Params::default();
    for (name, tensor) in own.iter() {
        let (name, shape) = match name {
            "classifier.0.weight" => ("pre_logits.fc1.weight", vec![6, 5, 2, 1]),
            "classifier.3.weight" => ("pre_logits.fc2.weight", vec![5, 6, 1, 1]),
            "classifier.0.bias" => ("pre_logits.fc1.bias", vec![6]),
            "classifier.3.bias" => ("pre_logits.fc2.bias", vec![5]),
            "classifier.6.weight" => ("head.fc.weight", vec![3, 5]),
            "classifier.6.bias" => ("head.fc.bias", vec![3]),
            other => (other, tensor.shape().to_vec()),
        };
        timm.insert(name, Tensor::new(shape, tensor.data().to_vec()));
    }
    let state = StateDict { format: WeightsFormat::Safetensors, tensors: timm };
    let fitted = weights::fit(&graph, &state).unwrap();
    assert_eq!((fitted.naming, fitted.params), (Naming::Timm, own));
}

#[test]
fn a_file_tells_its_number_of_classes() {
    // The graph was made for another number.
    let graph = small(1000);
    let state = read("keras_model.h5");
    assert!(weights::has_classifier(&graph, &state));
    assert_eq!(weights::classes(&graph, &state), Some(3));
    assert_eq!(weights::covered(&graph, &state), graph.output());
    let error = weights::fit(&graph, &state).unwrap_err();
    let FitError::Shape { name, file, expected, found } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), file.as_str()), ("classifier.6.weight", "predictions/kernel"));
    assert_eq!((&expected[..], &found[..]), (&[5, 1000][..], &[5, 3][..]));
    assert!(weights::fit(&small(3), &state).is_ok());
}

#[test]
fn a_file_without_a_classifier_fits_what_is_before_it() {
    let graph = small(3);
    let state = read("keras_notop.h5");
    assert!(!weights::has_classifier(&graph, &state));
    assert_eq!(weights::classes(&graph, &state), None);
    assert!(matches!(weights::fit(&graph, &state), Err(FitError::Missing { .. })));
    let end = weights::covered(&graph, &state);
    assert_eq!(graph.node(end).name, "flatten");
    let fitted = weights::fit(&graph.prefix(end), &state).unwrap();
    assert_eq!(fitted.params.len(), 4);

    // Only the last of the linear layers is missing, as in timm's backbones.
    let tensors = init::he(&graph, 1);
    let tensors = tensors.iter().filter(|(name, _)| !name.starts_with("classifier.6"));
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    let state = StateDict { format: WeightsFormat::Safetensors, tensors };
    let end = weights::covered(&graph, &state);
    assert_eq!(graph.node(end).name, "classifier.5");
    assert!(weights::fit(&graph.prefix(end), &state).is_ok());
}

#[test]
fn a_file_that_was_cut_off_is_an_error() {
    for name in names() {
        let whole = file(&name);
        for length in 0..whole.len() {
            let result = weights::read(whole[..length].to_vec());
            // An HDF5 file may end in bytes that nothing refers to.
            assert!(result.is_err() || name.ends_with(".h5"), "{name} cut to {length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_damaged_file_is_an_error_or_a_value_but_never_a_panic() {
    for name in names() {
        let whole = file(&name);
        // One way for each place: all four of them take over a minute.
        for (at, flip) in (0..whole.len()).zip([0x01, 0x15, 0x80, 0xff].into_iter().cycle()) {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            drop(weights::read(damaged));
        }
    }
}

/// All files of weights.
fn names() -> Vec<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".json")).collect();
    names.sort();
    names
}

#[test]
fn published_files_are_read_bit_for_bit() {
    let Some(folder) = fixtures::real_data("cifar_resnets") else { return };
    for (pickled, converted) in [
        ("resnet20-12fca82f.th", "resnet20_cifar10.safetensors"),
        ("resnet32-d509ac18.th", "resnet32_cifar10.safetensors"),
    ] {
        let [pickled, converted] =
            [pickled, converted].map(|name| weights::read(std::fs::read(folder.join(name)).unwrap()).unwrap());
        assert_eq!((pickled.format, converted.format), (WeightsFormat::PyTorchLegacy, WeightsFormat::Safetensors));
        assert_eq!(pickled.tensors.checksum(), converted.tensors.checksum());
        assert_eq!(pickled.tensors, converted.tensors);
    }
}

/// The network of `weights_keras.py` with torchvision's names.
fn small(classes: usize) -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 9, 6));
    let mut x = graph.input();
    for (index, channels, width) in [(0, 3, 4), (3, 4, 5)] {
        x = graph.push(&format!("features.{index}"), Conv2d::new(channels, width, 3).padding(1), &[x]).unwrap();
        x = graph.push(&format!("features.{}", index + 1), Relu, &[x]).unwrap();
        x = graph.push(&format!("features.{}", index + 2), MaxPool(Window::new(2, 2)), &[x]).unwrap();
    }
    x = graph.push("flatten", Flatten, &[x]).unwrap();
    for (index, inputs, outputs) in [(0, 10, 6), (3, 6, 5)] {
        x = graph.push(&format!("classifier.{index}"), Linear::new(inputs, outputs), &[x]).unwrap();
        x = graph.push(&format!("classifier.{}", index + 1), Relu, &[x]).unwrap();
        x = graph.push(&format!("classifier.{}", index + 2), Dropout { p: 0.5 }, &[x]).unwrap();
    }
    let logits = graph.push("classifier.6", Linear::new(5, classes), &[x]).unwrap();
    graph.finish(logits)
}

/// Errors of each reader reach the caller as they are.
#[test]
fn errors_keep_their_kind() {
    let mut bytes = file("keras_published.h5");
    bytes.truncate(100);
    let error = weights::read(bytes).unwrap_err();
    assert!(matches!(error, WeightsError::Keras(KerasError::Container)), "{error}");
}
