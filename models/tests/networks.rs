//! The networks of the tables: their sizes as published, their names as torchvision's, and what can be done to them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use models::graph::{Classifier, GraphError};
use models::ops::{Add, Conv2d, GlobalAvgPool, Linear, MaxPool, Normalize, Relu, Shape, ShapeError, Window};
use models::resnet::{RESNET18, RESNET50};
use models::vgg::{VGG16, VGG19};
use models::{Graph, GraphBuilder, NodeId, init};

/// Each network for this many classes.
fn networks(classes: usize) -> [(&'static str, Graph); 4] {
    [
        (VGG16.name, VGG16.graph(classes).unwrap()),
        (VGG19.name, VGG19.graph(classes).unwrap()),
        (RESNET18.name, RESNET18.graph(224, classes).unwrap()),
        (RESNET50.name, RESNET50.graph(224, classes).unwrap()),
    ]
}

#[test]
fn parameters_are_as_many_as_published() {
    // torchvision's `num_params`, and the same with a linear layer for 17 classes instead of 1000 (arithmetic).
    let table = [
        ("vgg16", 138_357_544, 134_330_193),
        ("vgg19", 143_667_240, 139_639_889),
        ("resnet18", 11_689_512, 11_185_233),
        ("resnet50", 25_557_032, 23_542_865),
    ];
    for (imagenet, flowers) in networks(1000).iter().zip(&networks(17)) {
        let (_, thousand, seventeen) = table.iter().find(|(name, ..)| *name == imagenet.0).unwrap();
        assert_eq!(imagenet.1.counts().parameters, *thousand, "{}", imagenet.0);
        assert_eq!(flowers.1.counts().parameters, *seventeen, "{} for 17 classes", imagenet.0);
    }
}

#[test]
fn arithmetic_is_as_much_as_torchvision_says() {
    // The "GFLOPS" column of torchvision's table of weights, which counts multiply-accumulates, to its two decimals.
    let table = [("vgg16", 15.47), ("vgg19", 19.63), ("resnet18", 1.81), ("resnet50", 4.09)];
    for (name, graph) in networks(1000) {
        let (_, published) = table.iter().find(|(known, _)| *known == name).unwrap();
        let counted = graph.counts().macs as f64 / 1e9;
        assert!((counted - published).abs() < 0.005, "{name}: {counted} GMAC, torchvision {published}");
    }
}

#[test]
fn state_dicts_have_torchvisions_keys_and_shapes() {
    // Written by models/reference/state_dicts.py.
    let text = include_str!("data/state_dicts.json");
    let reference: BTreeMap<String, BTreeMap<String, Vec<usize>>> = serde_json::from_str(text).unwrap();
    for (name, graph) in networks(1000) {
        let ours: BTreeMap<String, Vec<usize>> = graph
            .nodes()
            .iter()
            .flat_map(|node| node.params())
            .map(|(name, declared)| (name.to_owned(), declared.shape))
            .collect();
        assert_eq!(ours, reference[name], "{name}");
    }
}

#[test]
fn an_operator_that_does_not_fit_is_named() {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let input = graph.input();
    let error = graph.push("features.0", Conv2d::new(4, 8, 3), &[input]).unwrap_err();
    assert_eq!(error.to_string(), "node `features.0` (Conv2d): expects 4 channels, is given [n, 3, 8, 8]");
    let error = graph.push("pool", MaxPool(Window::new(9, 2)), &[input]).unwrap_err();
    assert!(matches!(error, GraphError::Shape { source: ShapeError::TooSmall { .. }, .. }), "{error}");
    let error = graph.push("fc", Linear::new(192, 2), &[input]).unwrap_err();
    assert_eq!(error.to_string(), "node `fc` (Linear): expects [n, 192], is given [n, 3, 8, 8]");
    let error = graph.push("add", Add, &[input]).unwrap_err();
    assert_eq!(error.to_string(), "node `add` (Add): takes two or more input(s), is given 1");
    let error = graph.push("input", Relu, &[input]).unwrap_err();
    assert_eq!(error, GraphError::DuplicateName("input".to_owned()));
}

#[test]
fn the_classifier_is_found_by_structure() {
    for (name, graph) in networks(10) {
        let Some(Classifier::Linear(node)) = graph.classifier() else { panic!("{name} ends in a linear layer") };
        assert_eq!(node, graph.output(), "{name}");
    }
    let Classifier::Pointwise(node) = squeezed().classifier().unwrap() else { panic!("a 1x1 convolution") };
    assert_eq!(squeezed().node(node).name, "classifier.1");
    assert_eq!(backbone().classifier(), None);
}

#[test]
fn a_new_head_takes_the_place_of_the_old_one() {
    for (name, graph) in networks(1000) {
        let grafted = graph.graft("graft.head", 17).unwrap();
        assert_eq!(grafted.graph.shape(grafted.graph.output()), &Shape::vector(17), "{name}");
        assert_eq!(grafted.graph.nodes().len(), graph.nodes().len(), "{name}");
    }
    for (graph, width) in [(squeezed(), 8), (backbone(), 8)] {
        let grafted = graph.graft("graft.head", 3).unwrap();
        assert_eq!(grafted.graph.shape(grafted.features), &Shape::vector(width));
        assert_eq!(grafted.graph.node(grafted.head).op, Linear::new(width, 3).into());
        assert_eq!(grafted.graph.node(grafted.head).inputs, [grafted.features]);
    }
}

#[test]
fn a_grafted_network_can_be_grafted_again() {
    let once = squeezed().graft("graft.head", 3).unwrap();
    let twice = once.graph.graft("graft.head", 5).unwrap();
    assert_eq!(twice.graph.shape(twice.graph.output()), &Shape::vector(5));
    assert_eq!(twice.graph.shape(twice.features), once.graph.shape(once.features));
}

#[test]
fn a_cut_divides_a_network_between_blocks_and_nowhere_else() {
    let graph = RESNET18.graph(64, 10).unwrap();
    let at = |name: &str| graph.find(name).unwrap();
    let cut = graph.cut(at("layer2.1.relu")).unwrap();
    assert_eq!(cut.suffix.shape(cut.suffix.input()), graph.shape(at("layer2.1.relu")));
    assert_eq!(cut.suffix.shape(cut.suffix.output()), &Shape::vector(10));
    // The cut's node is the last of the prefix and the input of the suffix.
    assert_eq!(cut.prefix.nodes().len() + cut.suffix.nodes().len(), graph.nodes().len() + 1);
    let parts = [&cut.prefix, &cut.suffix].map(|part| part.counts().parameters);
    assert_eq!(parts.iter().sum::<u64>(), graph.counts().parameters);
    let error = graph.cut(at("layer2.0.conv1")).unwrap_err();
    assert!(matches!(error, GraphError::Crossing { .. }), "{error}");
}

#[test]
fn normalisation_goes_between_the_input_and_everything_else() {
    let graph = RESNET18.graph(64, 10).unwrap();
    let normalized = graph.normalized(&Normalize::for_bytes(&[0.5; 3], &[0.25; 3])).unwrap();
    let users: Vec<NodeId> = normalized.consumers(normalized.input()).collect();
    assert_eq!(users.iter().map(|&id| normalized.node(id).op.operator().kind()).collect::<Vec<_>>(), ["Normalize"]);
    assert_eq!(normalized.nodes().len(), graph.nodes().len() + 1);
    assert!(graph.normalized(&Normalize::for_bytes(&[0.5; 4], &[0.25; 4])).is_err());
}

#[test]
fn weights_are_drawn_alike_for_equal_seeds() {
    let graph = RESNET18.graph(32, 10).unwrap();
    assert_eq!(init::he(&graph, 1).checksum(), init::he(&graph, 1).checksum());
    assert_ne!(init::he(&graph, 1).checksum(), init::he(&graph, 2).checksum());
    let weight = init::he(&graph, 1).get("layer1.0.conv1.weight").unwrap().clone();
    let variance = weight.data().iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weight.data().len() as f64;
    // 2 / fan_in; the mean of 36,864 squares of normal numbers is within 3 % of it but once in ten thousand.
    let wanted = 2.0 / (64.0 * 9.0);
    assert!((variance / wanted - 1.0).abs() < 0.03, "{variance} for {wanted}");
}

/// Ends as SqueezeNet does: a 1x1 convolution to the classes, ReLU, global pooling.
fn squeezed() -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 16, 16));
    let x = graph.push("features.0", Conv2d::new(3, 8, 3), &[graph.input()]).unwrap();
    let x = graph.push("classifier.1", Conv2d::new(8, 10, 1), &[x]).unwrap();
    let x = graph.push("classifier.2", Relu, &[x]).unwrap();
    let x = graph.push("classifier.3", GlobalAvgPool, &[x]).unwrap();
    let x = graph.push("flatten", models::ops::Flatten, &[x]).unwrap();
    graph.finish(x)
}

/// Ends in a feature map.
fn backbone() -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 16, 16));
    let x = graph.push("features.0", Conv2d::new(3, 8, 3), &[graph.input()]).unwrap();
    let x = graph.push("features.1", Relu, &[x]).unwrap();
    graph.finish(x)
}
