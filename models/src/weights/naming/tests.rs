//! The conventions on real names and shapes, which `weights.py`, `weights_keras.py` and `torchvision_facts.py` in
//! models/reference have written.

use std::collections::BTreeMap;

use super::*;
use crate::weights::fit::{FitError, check};
use crate::zoo;

type Table = BTreeMap<String, Vec<usize>>;
type Names = BTreeMap<String, Table>;

fn torch() -> Names {
    serde_json::from_str(include_str!("../../../tests/data/weights/names.json")).unwrap()
}

fn keras() -> Names {
    serde_json::from_str(include_str!("../../../tests/data/weights/keras_names.json")).unwrap()
}

fn torchvision() -> Names {
    #[derive(serde::Deserialize)]
    struct Facts {
        state_dict: Table,
    }
    let facts: BTreeMap<String, Facts> =
        serde_json::from_str(include_str!("../../../tests/data/torchvision.json")).unwrap();
    facts.into_iter().map(|(name, facts)| (name, facts.state_dict)).collect()
}

fn build(name: &str) -> Graph {
    zoo::find(name).unwrap().graph([224; 2], 1000).unwrap()
}

fn shapes(names: &Table) -> Shapes<'_> {
    names.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect()
}

/// Which convention the names follow, and whether they fit.
fn fits(graph: &Graph, names: &Table) -> (Naming, Result<(), FitError>) {
    let file = shapes(names);
    let naming = Naming::of(&file);
    (naming, check(&naming.entries(graph, &file), &file))
}

/// The part of a graph that a linear layer takes.
fn before(graph: &Graph, linear: &str) -> Graph {
    graph.prefix(graph.node(graph.find(linear).unwrap()).inputs[0])
}

#[test]
fn every_name_of_every_convention_finds_its_place() {
    let (torch, keras, torchvision) = (torch(), keras(), torchvision());
    let [vgg11, vgg16, vgg19, resnet18, resnet50] = ["vgg11", "vgg16", "vgg19", "resnet18", "resnet50"].map(build);
    for (graph, names, naming) in [
        (&vgg16, &torchvision["vgg16"], Naming::Torchvision),
        (&resnet50, &torchvision["resnet50"], Naming::Torchvision),
        (&vgg11, &torch["timm vgg11"], Naming::Timm),
        (&build("vgg16_bn"), &torch["timm vgg16_bn"], Naming::Timm),
        (&before(&vgg11, "classifier.6"), &torch["timm vgg11 without head"], Naming::Timm),
        (&resnet18, &torch["transformers resnet-18"], Naming::HuggingFace),
        (&resnet50, &torch["transformers resnet-50"], Naming::HuggingFace),
        (&before(&resnet18, "fc"), &torch["transformers resnet-18 without head"], Naming::HuggingFace),
        (&vgg16, &keras["vgg16"], Naming::Keras),
        (&vgg19, &keras["vgg19"], Naming::Keras),
        (&before(&vgg16, "classifier.0"), &keras["vgg16 notop"], Naming::Keras),
    ] {
        assert_eq!(fits(graph, names), (naming, Ok(())));
        // Two parameters with one counterpart would leave another without.
        let file = shapes(names);
        let entries = naming.entries(graph, &file);
        assert_eq!(entries.len(), file.len(), "{naming}");
    }
}

#[test]
fn layouts_follow_from_the_convention() {
    let vgg = build("vgg16");
    let layout = |naming: Naming, name: &str| {
        let entries = naming.entries(&vgg, &Shapes::new());
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        (entry.file.clone(), entry.layout)
    };
    for (name, timm, keras) in [
        (
            "classifier.0.weight",
            ("pre_logits.fc1.weight", TensorLayout::Window([512, 7, 7])),
            ("fc1/kernel", TensorLayout::TransposedHwc([512, 7, 7])),
        ),
        (
            "classifier.3.weight",
            ("pre_logits.fc2.weight", TensorLayout::Window([4096, 1, 1])),
            ("fc2/kernel", TensorLayout::Transposed),
        ),
        (
            "classifier.6.weight",
            ("head.fc.weight", TensorLayout::Same),
            ("predictions/kernel", TensorLayout::Transposed),
        ),
        ("classifier.6.bias", ("head.fc.bias", TensorLayout::Same), ("predictions/bias", TensorLayout::Same)),
        ("features.28.weight", ("features.28.weight", TensorLayout::Same), ("block5_conv3/kernel", TensorLayout::Hwio)),
    ] {
        assert_eq!(layout(Naming::Timm, name), (timm.0.to_owned(), timm.1));
        assert_eq!(layout(Naming::Keras, name), (keras.0.to_owned(), keras.1));
    }
}

#[test]
fn a_tensor_too_few_too_many_or_of_another_shape_is_named_as_graph_and_file_call_it() {
    let graph = build("vgg16");
    let names = keras().remove("vgg16").unwrap();
    let error = |change: &dyn Fn(&mut Table)| {
        let mut names = names.clone();
        change(&mut names);
        fits(&graph, &names).1.unwrap_err().to_string()
    };
    assert_eq!(
        error(&|names| drop(names.remove("block3_conv2/bias"))),
        "tensor `features.12.bias` (`block3_conv2/bias` in the file) is missing in the file; the file belongs to \
         another network"
    );
    assert_eq!(
        error(&|names| drop(names.insert("fc1/kernel".to_owned(), vec![4096, 25088]))),
        "tensor `classifier.0.weight` (`fc1/kernel` in the file) has shape [4096, 25088] in the file, the network needs \
         [25088, 4096]"
    );
    assert_eq!(
        error(&|names| drop(names.insert("dense/kernel".to_owned(), vec![7, 5]))),
        "the file has a tensor `dense/kernel` of shape [7, 5] that the network does not have; the file \
         belongs to another network"
    );
}

#[test]
fn another_networks_names_are_recognized_as_such() {
    let (torch, keras, torchvision) = (torch(), keras(), torchvision());
    let vgg = build("vgg16");
    let resnet = build("resnet18");
    for (graph, names) in [
        (&resnet, &keras["vgg16"]),
        (&vgg, &torch["transformers resnet-18"]),
        (&vgg, &torchvision["resnet18"]),
        (&resnet, &torchvision["vgg16"]),
    ] {
        let error = fits(graph, names).1.unwrap_err();
        assert!(matches!(error, FitError::Names { .. }), "{error}");
    }
    // Near relatives share names; what they do not share is said.
    let error = fits(&build("resnet50"), &torchvision["resnet18"]).1.unwrap_err();
    assert!(matches!(error, FitError::Shape { .. }), "{error}");
    let error = fits(&vgg, &torchvision["vgg19"]).1.unwrap_err();
    assert!(matches!(error, FitError::Shape { .. } | FitError::Missing { .. }), "{error}");
}
