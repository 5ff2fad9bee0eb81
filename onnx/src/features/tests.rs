//! Which layer is the classifier, by the operators around it. That the features are right is tested against ONNX Runtime, on
//! whole files, in `tests/tests/opaque.rs`.

use models::ops::{Add, L2Length, Linear, Shape};
use models::{GraphBuilder, Labels, ModelSpec, Network, Preprocess, Tensor, init};

use super::classifier::{FeatureTensor, find_behind_output};
use super::*;
use crate::proto::{AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto};

/// A graph from `x` to `y`, written as `operator inputs > output`; `w` are the weights of a layer, `k` those of a 3x3
/// convolution and `c` is a number.
fn graph(nodes: &[&str]) -> GraphProto {
    let parse = |text: &&str| {
        let (left, output) = text.split_once(" > ").unwrap();
        let mut words = left.split(' ').map(str::to_owned);
        let op_type = words.next().unwrap();
        node(&op_type, words.collect(), output)
    };
    let weights = |name: &str, dims: &[i64]| TensorProto { name: name.into(), dims: dims.into(), ..Default::default() };
    GraphProto {
        input: vec![value_info("x", &Shape::image(3, 8, 8))],
        output: vec![ValueInfoProto { name: "y".into(), ..ValueInfoProto::default() }],
        node: nodes.iter().map(parse).collect(),
        initializer: vec![weights("w", &[5, 4, 1, 1]), weights("k", &[5, 4, 3, 3]), weights("c", &[])],
        ..GraphProto::default()
    }
}

/// What the classifier takes, and whether that is a vector.
fn found(nodes: &[&str]) -> Result<(FeatureTensor, bool), String> {
    let input = find_behind_output(&graph(nodes)).map_err(|error| error.to_string())?;
    Ok((input.features, input.vector))
}

fn real(name: &str, vector: bool) -> Result<(FeatureTensor, bool), String> {
    Ok((FeatureTensor::Real(name.into()), vector))
}

fn quantized(parts: [&str; 3], vector: bool) -> Result<(FeatureTensor, bool), String> {
    Ok((FeatureTensor::Quantized(parts.map(str::to_owned).into()), vector))
}

#[test]
fn the_classifier_is_the_last_layer_with_weights() {
    assert_eq!(found(&["Relu x > f", "Gemm f w > y"]), real("f", true));
    assert_eq!(found(&["Relu x > f", "MatMul f w > m", "Add m c > l", "Softmax l > y"]), real("f", true));
    // A temperature and a cast change no class; weights may be dequantised or turned first.
    let dequantized =
        ["DequantizeLinear w c > d", "Transpose d > t", "Relu x > f", "MatMul f t > m", "Div m c > q", "Cast q > y"];
    assert_eq!(found(&dequantized), real("f", true));
    // SqueezeNet: a 1x1 convolution, squashed, then averaged.
    assert_eq!(
        found(&["Relu x > f", "Conv f w > m", "Relu m > r", "GlobalAveragePool r > p", "Flatten p > y"]),
        real("f", false)
    );
}

#[test]
fn whole_numbers_are_made_real_again() {
    let dynamic = [
        "Relu x > f",
        "DynamicQuantizeLinear f > q",
        "MatMulInteger q w > i",
        "Cast i > j",
        "Mul q c > t",
        "Mul j t > m",
        "Add m c > y",
    ];
    assert_eq!(found(&dynamic), real("f", true));
    assert_eq!(
        found(&["QLinearMatMul x c c w c c c c > q", "DequantizeLinear q c c > y"]),
        quantized(["x", "c", "c"], true)
    );
    let pooled =
        ["QLinearConv x c c w c c c c > q", "QLinearGlobalAveragePool q c c c c > p", "DequantizeLinear p c c > y"];
    assert_eq!(found(&pooled), quantized(["x", "c", "c"], false));
}

#[test]
fn what_is_no_classifier_is_refused_with_where_the_way_ended() {
    for (nodes, end) in [
        // FeatureTensor behind a residual sum, attention, an ordinary convolution, a normalisation.
        (&["Relu x > f", "MatMul f w > m", "Add m f > y"][..], "`Add`"),
        (&["Relu x > f", "MatMul f f > y"], "`MatMul`"),
        (&["Conv x k > m", "GlobalAveragePool m > y"], "`Conv`"),
        (&["MatMul x w > m", "LayerNormalization m c c > y"], "`LayerNormalization`"),
        // Nothing that is the same for every image is a feature, wherever it is made.
        (&["Gemm f w > y", "Relu c > f"], "`Gemm`"),
        (&["Softmax x > y"], "the image"),
        (&["Identity y > y"], "the image"),
        (&[], "the image"),
    ] {
        let error = found(nodes).unwrap_err();
        assert!(error.contains(&format!("ends at {end})")), "{nodes:?}: {error}");
    }
}

#[test]
fn what_only_the_classifier_needed_goes_and_what_a_branch_takes_stays() {
    let branch = graph(&["Add outer c > y"]);
    let attribute =
        vec![AttributeProto { g: Some(prost::Message::encode_to_vec(&branch).into()), ..Default::default() }];
    let mut whole = graph(&["Relu x > outer", "Sigmoid x > unused", "Greater x c > b", "If b > f", "Gemm f w k > y"]);
    whole.node[3].attribute = attribute;
    let file = ModelFile { proto: ModelProto { graph: Some(whole), ..ModelProto::default() } };
    let graph = file.feature_extractor().unwrap().file.proto.graph.unwrap();
    let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
    assert_eq!(operators, ["Relu", "Greater", "If", "Flatten", "Cast"]);
    let left: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(left, ["c"]);
    assert_eq!(graph.output[0].name, "features");
}

/// A linear layer for four features, with two classes.
fn head() -> Network {
    let mut graph = GraphBuilder::new("features", Shape::vector(4));
    let head = graph.push("graft.head", Linear::new(4, 2), &[graph.input()]).unwrap();
    let graph = graph.finish(head);
    let spec =
        ModelSpec::new("test", Some(Labels::new(vec!["a".to_owned(), "b".to_owned()])), Preprocess::torchvision(8, 8));
    Network::new(graph.clone(), &init::he(&graph, 0), spec).unwrap()
}

/// The same head, with something added to all scores alike that is read off the length of the features.
fn shifted_head() -> Network {
    let Network { graph, mut params, spec } = head();
    let mut builder = GraphBuilder::from(graph.clone());
    let length = builder.push("length", L2Length, &[graph.input()]).unwrap();
    let shift = builder.push("shift", Linear::new(1, 2), &[length]).unwrap();
    let output = builder.push("logits", Add, &[graph.output(), shift]).unwrap();
    params.insert("shift.weight", Tensor::new([2, 1], vec![-3.0; 2]));
    params.insert("shift.bias", Tensor::new([2], vec![1.0; 2]));
    Network::new(builder.finish(output), &params, spec).unwrap()
}

#[test]
fn a_head_whose_scores_are_shifted_alike_is_replaced_with_the_shift() {
    let mut file = ModelFile {
        proto: ModelProto { graph: Some(graph(&["Relu x > f", "Gemm f w k > y"])), ..ModelProto::default() },
    };
    for round in 0..3 {
        file = ModelFile::decode(file.feature_extractor().unwrap().with_head(&shifted_head()).unwrap()).unwrap();
        let graph = file.proto.graph.as_ref().unwrap();
        let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        let expected = ["Relu", "Flatten", "Cast", "Gemm", "ReduceL2", "Gemm", "Add", "Softmax"];
        assert_eq!(operators, expected, "head {round}");
    }
}

#[test]
fn a_second_head_adds_no_more_nodes_than_the_first() {
    for (nodes, expected) in [
        (&["Relu x > f", "Gemm f w k > y"][..], vec!["Relu", "Flatten", "Cast", "Gemm", "Softmax"]),
        (&["Relu x > r", "Flatten r > f", "MatMul f w > y"], vec!["Relu", "Flatten", "Cast", "Gemm", "Softmax"]),
    ] {
        let mut file = ModelFile { proto: ModelProto { graph: Some(graph(nodes)), ..ModelProto::default() } };
        for round in 0..3 {
            file = ModelFile::decode(file.feature_extractor().unwrap().with_head(&head()).unwrap()).unwrap();
            let graph = file.proto.graph.as_ref().unwrap();
            let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
            assert_eq!(operators, expected, "{nodes:?}, head {round}");
        }
    }
}
