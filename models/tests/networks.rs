//! The networks of the tables: their sizes as published, their names as torchvision's, and what can be done to them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use models::graph::{Classifier, Folding, GraphError, NewHead, Node};
use models::ops::{
    Activation, AdaptiveAvgPool, Add, AvgPool, Conv2d, Flatten, GlobalAvgPool, L2Length, L2Norm, Linear,
    LocalResponseNorm, MaxPool, Normalize, Op, Pad, Padding, Relu, Reshape, Shape, ShapeError, Slice, Span, Window,
};
use models::preprocess::{Crop, Filter, Resize};
use models::zoo::{self, Architecture, PUBLISHED, PublishedWeights};
use models::{Graph, GraphBuilder, NodeId, init};
use serde::Deserialize;

/// What `models/reference/torchvision_facts.py` wrote of one network.
#[derive(Deserialize)]
struct Facts {
    parameters: u64,
    gmacs: f64,
    state_dict: BTreeMap<String, Vec<usize>>,
    published: Vec<PublishedFacts>,
}

/// A file of weights.
#[derive(Deserialize)]
struct PublishedFacts {
    weights: String,
    sha256: String,
    resize: u32,
    crop: u32,
    filter: String,
    mean: [f32; 3],
    std: [f32; 3],
}

fn torchvision() -> BTreeMap<String, Facts> {
    serde_json::from_str(include_str!("data/torchvision.json")).unwrap()
}

fn named(name: &str) -> Architecture {
    zoo::find(name).unwrap_or_else(|| panic!("no network {name}"))
}

fn build(name: &str, side: usize, classes: usize) -> Graph {
    named(name).graph([side; 2], classes).unwrap()
}

/// Every network for images and classes of its paper.
fn networks() -> impl Iterator<Item = (&'static str, Graph)> {
    zoo::all().map(|row| (row.name(), row.graph(row.input(), row.classes()).unwrap()))
}

#[test]
fn parameters_are_as_many_as_published() {
    // VGG by arithmetic on table 1 of the paper, ResNet as torchvision's `num_params`, CIFAR ResNets as in the list of
    // github.com/akamaster/pytorch_resnet_cifar10, pre-activation counted in github.com/KaimingHe/resnet-1k-layers,
    // tflearn's with the biases of its convolutions, starter by arithmetic on its table of blocks.
    let table = [
        ("vgg11", 132_863_336),
        ("vgg11_lrn", 132_863_336),
        ("vgg11_bn", 132_868_840),
        ("vgg13", 133_047_848),
        ("vgg13_bn", 133_053_736),
        ("vgg16_c", 133_638_952),
        ("vgg16", 138_357_544),
        ("vgg16_bn", 138_365_992),
        ("vgg19", 143_667_240),
        ("vgg19_bn", 143_678_248),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet50_v1", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet101_v1", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnet152_v1", 60_192_808),
        ("resnet20_cifar", 269_722),
        ("resnet32_cifar", 464_154),
        ("resnet44_cifar", 658_586),
        ("resnet56_cifar", 853_018),
        ("resnet110_cifar", 1_727_962),
        ("resnet1202_cifar", 19_421_274),
        ("preact_resnet110_cifar", 1_727_962),
        ("preact_resnet164_cifar", 1_703_258),
        ("preact_resnet1001_cifar", 10_327_706),
        ("tflearn_resnet32", 465_290),
        ("tflearn_resnet32_mean", 465_290),
        ("tflearn_resnet56", 855_050),
        ("tflearn_resnet56_mean", 855_050),
        ("tflearn_resnet110", 1_732_010),
        ("tflearn_resnet110_mean", 1_732_010),
        ("starter", 2_211_168),
    ];
    let counted: Vec<_> = networks().map(|(name, graph)| (name, graph.counts().parameters)).collect();
    assert_eq!(counted, table);
}

#[test]
fn parameters_for_seventeen_classes_are_fewer_by_the_last_layer() {
    // The numbers above less 983 rows and biases of the last layer (arithmetic).
    let table = [
        ("vgg11", 128_835_985),
        ("vgg13", 129_020_497),
        ("vgg16_c", 129_611_601),
        ("vgg16", 134_330_193),
        ("vgg19", 139_639_889),
        ("resnet18", 11_185_233),
        ("resnet34", 21_293_393),
        ("resnet50", 23_542_865),
        ("resnet101", 42_534_993),
        ("resnet152", 58_178_641),
    ];
    for (name, parameters) in table {
        assert_eq!(build(name, 224, 17).counts().parameters, parameters, "{name}");
    }
}

#[test]
fn sizes_and_state_dicts_are_torchvisions() {
    for (name, facts) in torchvision() {
        let graph = build(&name, 224, 1000);
        let counts = graph.counts();
        assert_eq!(counts.parameters, facts.parameters, "{name}");
        // The "GFLOPS" of its table of weights are multiply-accumulates, to two decimals.
        let gmacs = counts.macs as f64 / 1e9;
        assert!((gmacs - facts.gmacs).abs() < 0.006, "{name}: {gmacs} GMAC, torchvision {}", facts.gmacs);
        let ours: BTreeMap<String, Vec<usize>> = graph
            .nodes()
            .iter()
            .flat_map(|node| node.params())
            .map(|(name, declared)| (name.to_owned(), declared.shape))
            .collect();
        assert_eq!(ours, facts.state_dict, "{name}");
    }
}

#[test]
fn a_vgg_takes_images_of_any_size_that_can_be_halved_five_times() {
    for (side, pool) in [
        (32, "AdaptiveAvgPool"),
        (223, "AdaptiveAvgPool"),
        (256, "AvgPool"),
        (300, "AdaptiveAvgPool"),
        (448, "AvgPool"),
    ] {
        let graph = build("vgg11", side, 10);
        let pooled = graph.find("avgpool").map(|id| graph.node(id).op.operator().kind());
        assert_eq!(pooled, Some(pool), "{side}");
        assert_eq!(graph.counts().parameters, build("vgg11", 224, 10).counts().parameters, "{side}");
    }
    assert_eq!(build("vgg11", 224, 10).find("avgpool"), None);
    let wide = named("vgg16").graph([224, 320], 10).unwrap();
    assert_eq!(wide.shape(wide.output()), &Shape::vector(10));
    let error = named("vgg16").graph([31, 224], 10).unwrap_err();
    assert!(matches!(error, GraphError::Shape { source: ShapeError::TooSmall { .. }, .. }), "{error}");
}

#[test]
fn the_columns_of_the_vgg_paper_are_names_too() {
    for (column, name) in [("vgg_a_lrn", "vgg11_lrn"), ("vgg_c", "vgg16_c"), ("vgg_d", "vgg16"), ("vgg_e", "vgg19")] {
        assert_eq!(named(column), named(name));
    }
    assert_eq!(zoo::find("vgg_f"), None);
}

#[test]
fn the_paper_and_torchvision_stride_in_different_places() {
    let strides = |name: &str| {
        let graph = build(name, 224, 10);
        ["layer2.0.conv1", "layer2.0.conv2"].map(|conv| match &graph.node(graph.find(conv).unwrap()).op {
            Op::Conv2d(conv) => conv.stride,
            _ => panic!("{conv} is no convolution"),
        })
    };
    assert_eq!(strides("resnet50"), [[1; 2], [2; 2]]);
    assert_eq!(strides("resnet50_v1"), [[2; 2], [1; 2]]);
}

/// "For the first Residual Unit (that follows a stand-alone convolutional layer, conv1), we adopt the first activation right
/// after conv1 and before splitting into two paths" (He et al. 2016, Identity mappings, appendix).
#[test]
fn the_first_preactivated_unit_activates_before_it_splits() {
    for name in ["preact_resnet110_cifar", "preact_resnet164_cifar", "preact_resnet1001_cifar"] {
        let graph = build(name, 32, 10);
        let node = |name: &str| graph.nodes().iter().find(|node| node.name == name).unwrap();
        let inputs = |name: &str| node(name).inputs.iter().map(|id| graph.node(*id).name.as_str()).collect::<Vec<_>>();
        let shortcut = inputs("layer1.0.add")[1];
        let source = if node(shortcut).op == Op::Relu(Relu) { shortcut } else { inputs(shortcut)[0] };
        assert_eq!(source, "layer1.0.relu1", "{name}");
        assert_eq!(inputs("layer1.1.add")[1], "layer1.0.add", "{name}");
    }
}

#[test]
fn tflearns_convolutions_are_padded_as_tensorflow_pads() {
    let graph = build("tflearn_resnet32", 32, 10);
    let node = graph.node(graph.find("layer2.0.conv1").unwrap());
    let Op::Conv2d(conv) = &node.op else { panic!("a convolution") };
    assert_eq!(conv.padding, Padding { top: 0, left: 0, bottom: 1, right: 1 });
    assert_eq!(conv.stride, [2; 2]);
    let odd = build("tflearn_resnet32", 33, 10);
    let Op::Conv2d(conv) = &odd.node(odd.find("layer2.0.conv1").unwrap()).op else { panic!("a convolution") };
    assert_eq!(conv.padding, Padding::all(1));
}

#[test]
fn tflearns_shortcut_is_a_subsample_or_the_mean_of_four() {
    let kind = |name: &str, node: &str| {
        let graph = build(name, 32, 10);
        graph.find(node).map(|id| graph.node(id).op.clone())
    };
    assert!(matches!(kind("tflearn_resnet32", "layer2.0.subsample"), Some(Op::Slice(_))));
    let Some(Op::AvgPool(AvgPool { window, .. })) = kind("tflearn_resnet32_mean", "layer2.0.pool") else {
        panic!("a pool")
    };
    assert_eq!(window, Window::new(2, 2));
}

#[test]
fn a_network_is_recognized_by_its_structure() {
    for row in zoo::all() {
        let graph = row.graph(row.input(), 7).unwrap();
        assert_eq!(zoo::recognize(&graph), [row], "{}", row.name());
        let graph = graph.normalized(&Normalize::for_bytes(&[0.5; 3], &[0.25; 3])).unwrap();
        assert_eq!(zoo::recognize(&graph), [row], "{} with normalised pixels", row.name());
    }
    assert_eq!(zoo::recognize(&squeezed()), []);
}

#[test]
fn a_folded_batch_normalization_is_seen_through() {
    let print = |name: &str, folding| build(name, 64, 7).fingerprint(folding);
    assert_ne!(print("vgg11", Folding::Keep), print("vgg11_bn", Folding::Keep));
    assert_eq!(print("vgg11", Folding::Fold), print("vgg11_bn", Folding::Fold));
    assert_ne!(print("resnet50", Folding::Fold), print("resnet50_v1", Folding::Fold));
}

#[test]
fn memory_is_what_the_tensors_take() {
    let mut graph = GraphBuilder::new("input", Shape::image(1, 4, 4));
    let x = graph.push("a", Conv2d::new(1, 2, 1), &[graph.input()]).unwrap();
    let y = graph.push("b", Relu, &[x]).unwrap();
    let x = graph.push("add", Add, &[x, y]).unwrap();
    let x = graph.push("pool", GlobalAvgPool, &[x]).unwrap();
    let counts = graph.finish(x).counts();
    // Weight and bias of two channels; 16 + 3 · 32 + 2 numbers in all; the sum holds its inputs and itself.
    assert_eq!((counts.weight_bytes, counts.training_bytes, counts.inference_bytes), (16, 456, 384));
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
fn a_stored_graph_with_numbers_that_cannot_be_computed_with_is_refused() {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let x = graph.push("conv", Conv2d::new(3, 6, 3), &[graph.input()]).unwrap();
    let x = graph.push("lrn", LocalResponseNorm::krizhevsky(), &[x]).unwrap();
    let x = graph.push("pool", MaxPool(Window::new(2, 2)), &[x]).unwrap();
    let spans = vec![Span::all(6), Span::all(3), Span::reversed(3)];
    let x = graph.push("slice", Slice { spans }, &[x]).unwrap();
    let x = graph.push("pad", Pad::channels(1, 1), &[x]).unwrap();
    let x = graph.push("reshape", Reshape { shape: Shape::image(8, 1, 9) }, &[x]).unwrap();
    let x = graph.push("adaptive", AdaptiveAvgPool { output: [1, 3] }, &[x]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    let x = graph.push("fc", Linear::new(24, 2), &[x]).unwrap();
    let graph = graph.finish(x);
    let stored = serde_json::to_value(&graph).unwrap();
    assert_eq!(serde_json::from_value::<Graph>(stored.clone()).unwrap(), graph);
    let relu = serde_json::json!({ "name": "more", "op": { "Input": { "shape": [3] } }, "inputs": [], "params": [] });
    for (place, value, words) in [
        ("/nodes/0/op/Input/shape/1", 0.into(), "`input` (Input): makes a tensor of shape [n, 3, 0, 8]"),
        ("/nodes/0/op/Input/shape/1", u64::MAX.into(), "`input` (Input): makes a tensor"),
        ("/nodes/1/op/Conv2d/kernel/0", 0.into(), "`conv` (Conv2d): has kernel = [0, 3]"),
        ("/nodes/1/op/Conv2d/kernel/0", u64::MAX.into(), "kernel"),
        ("/nodes/1/op/Conv2d/stride/1", 0.into(), "stride = [1, 0]"),
        ("/nodes/1/op/Conv2d/dilation/0", 0.into(), "dilation"),
        ("/nodes/1/op/Conv2d/dilation/0", u64::MAX.into(), "dilation"),
        ("/nodes/1/op/Conv2d/padding/top", u64::MAX.into(), "padding"),
        ("/nodes/1/op/Conv2d/padding/left", (1_u64 << 31).into(), "in 8 dimensions"),
        ("/nodes/1/op/Conv2d/groups", 0.into(), "groups = [0]"),
        ("/nodes/1/op/Conv2d/groups", 2.into(), "groups = 2"),
        ("/nodes/1/op/Conv2d/out_channels", 0.into(), "makes a tensor"),
        ("/nodes/1/op/Conv2d/out_channels", u64::MAX.into(), "makes a tensor"),
        ("/nodes/2/op/LocalResponseNorm/size", 0.into(), "size"),
        ("/nodes/2/op/LocalResponseNorm/size", u64::MAX.into(), "size"),
        ("/nodes/3/op/MaxPool/kernel/0", 0.into(), "kernel"),
        ("/nodes/3/op/MaxPool/stride/0", 0.into(), "stride"),
        ("/nodes/3/op/MaxPool/padding/bottom", u64::MAX.into(), "padding"),
        ("/nodes/4/op/Slice/spans/0/length", (1_u64 << 63).into(), "holds the part"),
        ("/nodes/4/op/Slice/spans/0/step", i64::MIN.into(), "holds the part"),
        ("/nodes/4/op/Slice/spans/0/start", u64::MAX.into(), "holds the part"),
        ("/nodes/5/op/Pad/before/0", u64::MAX.into(), "before"),
        ("/nodes/6/op/Reshape/shape", vec![1_u64 << 40; 3].into(), "as many numbers as"),
        ("/nodes/6/op/Reshape/shape", [vec![72], vec![1; 8]].concat().into(), "makes a tensor"),
        ("/nodes/7/op/AdaptiveAvgPool/output/0", 0.into(), "makes a tensor"),
        ("/nodes/7/op/AdaptiveAvgPool/output/0", u64::MAX.into(), "makes a tensor"),
        ("/nodes/9/op/Linear/out_features", u64::MAX.into(), "makes a tensor"),
        ("/nodes/9", relu, "`more` is a second input"),
        ("/output", 10.into(), "does not come before"),
    ] {
        let mut damaged = stored.clone();
        *damaged.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value;
        let error = serde_json::from_value::<Graph>(damaged).unwrap_err().to_string();
        assert!(error.contains(words), "{place}: {error}");
    }
}

#[test]
fn the_cost_of_a_network_is_counted_as_far_as_it_can_be() {
    // About 2^65 multiplications, by parameters that all layers share.
    let mut graph = GraphBuilder::new("input", Shape::vector(1 << 18));
    let mut x = graph.input();
    let conv = Conv2d { kernel: [1 << 14; 2], padding: Padding::all(1 << 15), ..Conv2d::new(1, 1, 1) };
    x = graph.push("reshape", Reshape { shape: Shape::image(1, 1 << 9, 1 << 9) }, &[x]).unwrap();
    let conv = Node { name: "conv".to_owned(), op: conv.into(), inputs: vec![x], params: vec!["w".into(), "b".into()] };
    let layers = (0..64).map(|layer| graph.push_node(Node { name: format!("conv{layer}"), ..conv.clone() }).unwrap());
    let layers: Vec<NodeId> = layers.collect();
    let x = graph.push("add", Add, &layers).unwrap();
    let counts = graph.finish(x).counts();
    assert_eq!((counts.parameters, counts.macs, counts.flops()), ((1 << 28) + 1, u64::MAX, u64::MAX));
}

#[test]
fn names_are_made_new_by_the_first_number_that_does() {
    let mut graph = GraphBuilder::new("relu", Shape::vector(1));
    for expected in ["relu_2", "relu_3", "relu_4", "relu_5", "relu_6", "relu_7", "relu_8", "relu_9", "relu_10"] {
        let name = graph.free_name("relu");
        assert_eq!(name, expected);
        graph.push(&name, Relu, &[graph.input()]).unwrap();
    }
    assert_eq!(graph.free_name("gelu"), "gelu");
}

#[test]
fn the_classifier_is_found_by_structure() {
    for (name, graph) in networks() {
        let Some(Classifier::Linear(node)) = graph.classifier() else { panic!("{name} ends in a linear layer") };
        assert_eq!(node, graph.output(), "{name}");
    }
    let Classifier::Pointwise(node) = squeezed().classifier().unwrap() else { panic!("a 1x1 convolution") };
    assert_eq!(squeezed().node(node).name, "classifier.1");
    assert_eq!(backbone().classifier(), None);
}

#[test]
fn a_new_head_takes_the_place_of_the_old_one() {
    for (name, graph) in networks() {
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
fn a_head_may_take_steps_from_a_feature_map_and_the_next_head_drops_its_power_and_its_norm() {
    let backbone = backbone();
    let behind = backbone.feature_map().unwrap();
    assert_eq!(backbone.shape(behind), &Shape::image(8, 14, 14));
    let steps = [GlobalAvgPool.into(), Flatten.into(), Activation::SignedSqrt.into(), L2Norm.into()];
    let once = backbone.graft_behind(&NewHead { name: "graft.head", classes: 3, behind, steps: &steps }).unwrap().graph;
    let ops: Vec<&Op> = once.nodes().iter().rev().skip(1).take(4).map(|node| &node.op).collect();
    assert_eq!(ops, steps.iter().rev().collect::<Vec<_>>());
    let twice = once.graft("graft.head", 5).unwrap().graph;
    assert_eq!(twice.nodes().len(), once.nodes().len() - 2);
    // What is averaged is no map any more, nor are class maps that will be.
    assert_eq!((once.feature_map(), squeezed().feature_map()), (None, None));
    let flat = NewHead { name: "graft.head", classes: 3, behind, steps: &[] };
    assert!(matches!(backbone.graft_behind(&flat), Err(GraphError::NoFeatures { .. })));
}

#[test]
fn scores_that_one_number_of_the_image_shifts_have_a_classifier_and_the_next_head_drops_the_shift() {
    let once = backbone().graft("graft.head", 3).unwrap();
    let mut builder = GraphBuilder::from(once.graph.clone());
    let length = builder.push("length", L2Length, &[once.features]).unwrap();
    let shift = builder.push("shift", Linear::new(1, 3), &[length]).unwrap();
    let sum = builder.push("sum", Add, &[once.head, shift]).unwrap();
    let shifted = builder.finish(sum);
    assert_eq!(shifted.shape(shifted.find("length").unwrap()), &Shape::vector(1));
    assert_eq!((shifted.shifted(shifted.output()), shifted.shifted(once.head)), (Some(once.head), None));
    assert_eq!(shifted.classifier(), Some(Classifier::Linear(once.head)));
    assert_eq!(shifted.graft("graft.head", 5).unwrap().graph.nodes().len(), once.graph.nodes().len());
    // A sum of two layers of features is no shift.
    let mut builder = GraphBuilder::from(once.graph.clone());
    let other = builder.push("other", Linear::new(8, 3), &[once.features]).unwrap();
    let sum = builder.push("sum", Add, &[once.head, other]).unwrap();
    assert_eq!(builder.finish(sum).classifier(), None);
}

#[test]
fn a_cut_divides_a_network_between_blocks_and_nowhere_else() {
    let graph = build("resnet18", 64, 10);
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
fn normalization_goes_between_the_input_and_everything_else() {
    let graph = build("resnet18", 64, 10);
    let normalized = graph.normalized(&Normalize::for_bytes(&[0.5; 3], &[0.25; 3])).unwrap();
    let users: Vec<NodeId> = normalized.consumers(normalized.input()).collect();
    assert_eq!(users.iter().map(|&id| normalized.node(id).op.operator().kind()).collect::<Vec<_>>(), ["Normalize"]);
    assert_eq!(normalized.nodes().len(), graph.nodes().len() + 1);
    let four = graph.normalized(&Normalize::for_bytes(&[0.5; 4], &[0.25; 4]));
    assert!(matches!(four, Err(GraphError::Shape { kind: "Normalize", .. })), "{four:?}");
}

#[test]
fn weights_are_drawn_alike_for_equal_seeds() {
    let graph = build("resnet18", 32, 10);
    assert_eq!(init::he(&graph, 1).checksum(), init::he(&graph, 1).checksum());
    assert_ne!(init::he(&graph, 1).checksum(), init::he(&graph, 2).checksum());
    let weight = init::he(&graph, 1).get("layer1.0.conv1.weight").unwrap().clone();
    let variance = weight.data().iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weight.data().len() as f64;
    // 2 / fan_in; the mean of 36,864 squares of normal numbers is within 3 % of it but once in ten thousand.
    let expected_variance = 2.0 / (64.0 * 9.0);
    assert!((variance / expected_variance - 1.0).abs() < 0.03, "{variance} for {expected_variance}");
}

/// Ends as SqueezeNet does: a 1x1 convolution to the classes, ReLU, global pooling.
fn squeezed() -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 16, 16));
    let x = graph.push("features.0", Conv2d::new(3, 8, 3), &[graph.input()]).unwrap();
    let x = graph.push("classifier.1", Conv2d::new(8, 10, 1), &[x]).unwrap();
    let x = graph.push("classifier.2", Relu, &[x]).unwrap();
    let x = graph.push("classifier.3", GlobalAvgPool, &[x]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    graph.finish(x)
}

/// Ends in a feature map.
fn backbone() -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 16, 16));
    let x = graph.push("features.0", Conv2d::new(3, 8, 3), &[graph.input()]).unwrap();
    let x = graph.push("features.1", Relu, &[x]).unwrap();
    graph.finish(x)
}

#[test]
fn published_weights_are_known_by_checksum_with_the_preparation_that_torchvision_gives_them() {
    let mut rows = 0;
    for (architecture, facts) in torchvision() {
        for file in facts.published {
            let row = PublishedWeights::by_checksum(&format!("{}{}", file.sha256, "0".repeat(56))).unwrap();
            assert_eq!((row.architecture, row.weights), (architecture.as_str(), file.weights.as_str()));
            let actual = row.preprocess();
            assert_eq!(actual.resize, Resize::ShorterSide { size: file.resize }, "{architecture} {}", file.weights);
            assert_eq!(
                actual.crop,
                Some(Crop { height: file.crop, width: file.crop }),
                "{architecture} {}",
                file.weights
            );
            assert_eq!((actual.filter, file.filter.as_str()), (Filter::Bilinear, "bilinear"));
            for (actual, expected) in actual.mean.iter().chain(&actual.std).zip(file.mean.iter().chain(&file.std)) {
                assert!((actual - expected).abs() < 1e-7, "{architecture} {}: {actual} {expected}", file.weights);
            }
            rows += 1;
        }
    }
    assert_eq!(rows, PUBLISHED.len());
}
