//! Which output classifies and what its numbers are, by the operators before it. That the scores are right is checked against
//! ONNX Runtime, on whole files, by `tests/interop/check_model_ends.py`.

use models::ops::Shape;

use super::*;
use crate::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto, data_type,
};
use crate::write::value_info;

/// A file from the image `x` to these outputs, `NAME:WIDTH` or `NAME` alone; nodes are `operator inputs > output`.
fn file(nodes: &[&str], outputs: &[&str]) -> ModelFile {
    let node = |text: &&str| {
        let (left, output) = text.split_once(" > ").unwrap();
        let mut words = left.split(' ').map(str::to_owned);
        let op_type = words.next().unwrap();
        NodeProto { op_type, input: words.collect(), output: vec![output.to_owned()], ..NodeProto::default() }
    };
    let output = |text: &&str| match text.split_once(':') {
        Some((name, width)) => value_info(name, &Shape::vector(width.parse().unwrap())),
        None => ValueInfoProto { name: (*text).to_owned(), ..ValueInfoProto::default() },
    };
    let weights = |name: &str, dims: &[i64]| TensorProto { name: name.into(), dims: dims.into(), ..Default::default() };
    let graph = GraphProto {
        input: vec![value_info("x", &Shape::image(3, 8, 8))],
        output: outputs.iter().map(output).collect(),
        node: nodes.iter().map(node).collect(),
        initializer: vec![weights("w", &[5, 4, 1, 1]), weights("c", &[])],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelFile { proto: ModelProto { graph: Some(graph), opset_import, ..ModelProto::default() } }
}

fn chosen(nodes: &[&str], outputs: &[&str], options: &SignatureOptions<'_>) -> Result<(String, Meaning), String> {
    let signature = file(nodes, outputs).signature(options).map_err(|error| error.to_string())?;
    let output = signature.output();
    Ok((output.name.clone(), output.meaning))
}

const LOGITS: &str = "Gemm f w > y";

#[test]
fn the_last_operators_say_what_an_output_is() {
    for (nodes, meaning) in [
        (&[LOGITS, "Identity y > z"][..], Meaning::Logits),
        (&[LOGITS, "Add y c > z"], Meaning::Logits),
        (&[LOGITS, "Softmax y > z"], Meaning::Probabilities),
        (&[LOGITS, "Softmax y > a", "Reshape a c > b", "Cast b > z"], Meaning::Probabilities),
        (&[LOGITS, "LogSoftmax y > z"], Meaning::LogProbabilities),
        (&[LOGITS, "Sigmoid y > z"], Meaning::Independent),
        (&[LOGITS, "HardSigmoid y > z"], Meaning::Scores),
        (&[LOGITS, "ArgMax y > z"], Meaning::Logits),
        (&[LOGITS, "Relu y > z"], Meaning::Features),
        (&["GlobalAveragePool f > p", "Flatten p > z"], Meaning::Features),
        // A swish is a gate, and no shift of a sigmoid.
        (&["Sigmoid x > s", "Mul x s > z"], Meaning::Features),
        (&["Sigmoid f > s", "Mul f s > z"], Meaning::Features),
    ] {
        let nodes = [&["Relu x > f"], nodes].concat();
        assert_eq!(chosen(&nodes, &["z:5"], &SignatureOptions::default()).unwrap().1, meaning, "{nodes:?}");
    }
}

#[test]
fn of_several_outputs_the_one_that_classifies_is_chosen() {
    let names = |classes| SignatureOptions { classes: Some(classes), ..SignatureOptions::default() };
    let open = SignatureOptions::default();
    for (nodes, outputs, options, expected) in [
        (&["Relu x > f", LOGITS][..], &["f:4", "y:5"][..], open, "y"),
        (&["Relu x > f", LOGITS, "Softmax y > s"], &["f:4", "y:5", "s:5"], open, "s"),
        (&["Relu x > e", "Gemm e w > f", LOGITS], &["f:4", "y:5"], open, "y"),
        (&["Relu x > f", LOGITS, "Gemm f w > z"], &["z:9", "y:5"], names(5), "y"),
        (&["Relu x > f", LOGITS, "Gemm f w > logits"], &["y:5", "logits:5"], open, "logits"),
        (&["Relu x > f", LOGITS, "ArgMax y > k"], &["k", "y:5"], open, "y"),
    ] {
        assert_eq!(chosen(nodes, outputs, &options).unwrap().0, expected, "{nodes:?} {outputs:?}");
    }
}

#[test]
fn what_the_file_does_not_tell_is_refused_with_the_way_on() {
    let open = SignatureOptions::default();
    let asked = |activation| SignatureOptions { activation: Some(activation), ..open };
    for (nodes, outputs, options, expected) in [
        (&[LOGITS, "Gemm f w > z"][..], &["y:5", "z:5"][..], open, "name it with --output: output `y` [n, 5]: logits"),
        (&[LOGITS], &["y:5"], SignatureOptions { output: Some("z"), ..open }, "has no output `z`; it has `y`"),
        (&[LOGITS, "Softmax y > s", "Mul s c > z"], &["z:5"], open, "(ends in Mul behind Softmax): nothing says"),
        (&[LOGITS, "Softmax y > z"], &["z:5"], asked(ScoreKind::Sigmoid), "would squash the scores twice"),
        (&[LOGITS, "Softmax y > z"], &["z:1"], open, "one number an image makes two classes only as a logit"),
        (&[LOGITS], &["y:1"], asked(ScoreKind::Identity), "one number an image makes two classes only as a logit"),
        (&["LabelEncoder f > z"], &["z:1"], open, "the model has no scores of classes"),
        (&[], &[], open, "the model has no output"),
    ] {
        let nodes = [&["Relu x > f"], nodes].concat();
        let error = chosen(&nodes, outputs, &options).unwrap_err();
        assert!(error.contains(expected), "{nodes:?}: {error}");
    }
}

#[test]
fn a_zip_map_is_left_off_and_its_names_stay() {
    let mut file = file(&["Relu x > f", LOGITS, "Softmax y > s", "ZipMap s > z"], &["z"]);
    let graph = file.proto.graph.as_mut().unwrap();
    let strings = ["rose", "iris"].map(|name| name.as_bytes().to_vec().into()).to_vec();
    graph.node[3].attribute =
        vec![AttributeProto { name: "classlabels_strings".into(), strings, ..AttributeProto::default() }];
    graph.output[0].r#type = Some(TypeProto { sequence_type: Some(Vec::new().into()), ..TypeProto::default() });
    let signature = file.signature(&SignatureOptions::default()).unwrap();
    let output = signature.output();
    assert_eq!(output.labels.as_ref().unwrap().names(), ["rose", "iris"]);
    assert_eq!((output.meaning, output.width), (Meaning::Probabilities, Some(2)));
    let scored = file.scored(&signature).unwrap().proto.graph.unwrap();
    assert_eq!(scored.output[0].name, "y");
    assert_eq!(scored.node.len(), 2);
}

#[test]
fn a_map_is_features_whatever_makes_it() {
    let mut file = file(&["Relu x > f", "Sigmoid f > z"], &["z"]);
    file.proto.graph.as_mut().unwrap().output = vec![value_info("z", &Shape::image(3, 7, 6))];
    let signature = file.signature(&SignatureOptions::default()).unwrap();
    assert_eq!(signature.output().meaning, Meaning::Features);
    // The sigmoid stays.
    assert_eq!(file.scored(&signature).unwrap().proto.graph.unwrap().output[0].name, "z");
}

#[test]
fn whole_numbers_and_maps_have_no_scores() {
    let error = |nodes: &[&str], outputs: &[&str], elem_type: i32, shape: &[usize]| {
        let mut file = file(nodes, outputs);
        let mut value = value_info(outputs[0], &Shape::new(shape));
        value.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = elem_type;
        file.proto.graph.as_mut().unwrap().output = vec![value];
        file.signature(&SignatureOptions::default()).unwrap_err().to_string()
    };
    let said = error(&["Relu x > f", LOGITS, "Greater y c > z"], &["z"], data_type::BOOL, &[5]);
    assert!(said.contains("output `z` [n, 5]: the class, without scores (it holds BOOL values"), "{said}");
    let said = error(&["Relu x > f", "ArgMax f > z"], &["z"], data_type::INT64, &[8, 8]);
    assert!(said.contains("a map, not one row of scores (its shape is [n, 8, 8]"), "{said}");
}

/// A file with this input, whose sides are open where they are 0.
fn with_input(nodes: &[&str], dims: [i64; 4]) -> ModelFile {
    let mut file = file(nodes, &["z:5"]);
    let graph = file.proto.graph.as_mut().unwrap();
    let shape = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
    for (dim, size) in shape.dim.iter_mut().zip(dims) {
        dim.value = (size > 0).then_some(Dimension::Value(size));
    }
    let ints = |name: &str, numbers: &[i64]| TensorProto {
        name: name.into(),
        data_type: data_type::INT64,
        dims: vec![numbers.len() as i64],
        int64_data: numbers.to_vec(),
        ..TensorProto::default()
    };
    graph.initializer.extend([ints("whole", &[1, 3, 40, 30]), ints("last", &[1, 40, 30, 3]), ints("sides", &[40, 30])]);
    file
}

#[test]
fn a_resize_at_the_start_says_the_size_of_images_that_the_input_leaves_open() {
    let first = [0, 3, 0, 0];
    for (nodes, dims, expected) in [
        (&["Resize x none none whole > f"][..], first, ImageSize::Resized([40, 30])),
        (&["Div x c > a", "Resize a none none whole > f"], first, ImageSize::Resized([40, 30])),
        // As exporters write it for a batch of any size.
        (&["Shape x > n", "Concat n sides > t", "Resize x none none t > f"], first, ImageSize::Resized([40, 30])),
        (&["Resize x none none last > f"], [0, 0, 0, 3], ImageSize::Resized([40, 30])),
        (&["Resize x none none whole > f"], [0, 3, 64, 64], ImageSize::Declared),
        (&["Shape x > t", "Resize x none none t > f"], first, ImageSize::Open),
        (&["Resize x none scales > f"], first, ImageSize::Open),
        (&["Relu x > a", "Resize a none none whole > f"], first, ImageSize::Open),
    ] {
        let signature = with_input(&[nodes, &["Gemm f w > z"]].concat(), dims);
        let signature = signature.signature(&SignatureOptions::default()).unwrap();
        assert_eq!(signature.input.size, expected, "{nodes:?}");
    }
}

#[test]
fn channels_that_no_decoded_image_has_are_refused_with_the_declared_shape() {
    let checked =
        |dims| with_input(&["Relu x > f", LOGITS, "Identity y > z"], dims).signature(&SignatureOptions::default());
    for (dims, shape) in [
        ([0, 4, 64, 64], Some("[n, 4, 64, 64]")),
        ([0, 64, 64, 4], Some("[n, 64, 64, 4]")),
        ([1, 6, 32, 32], Some("[1, 6, 32, 32]")),
        ([0, 3, 64, 64], None),
        ([0, 64, 64, 1], None),
    ] {
        let said = checked(dims).unwrap().input.check().err().map(|error| error.to_string());
        let expected = shape.map(|shape| format!("input `x` {shape} has neither 3 channels nor 1"));
        assert_eq!(said.is_some(), expected.is_some(), "{dims:?}: {said:?}");
        assert!(said.unwrap_or_default().starts_with(&expected.unwrap_or_default()), "{dims:?}");
    }
}

#[test]
fn a_file_of_any_size_is_declared_for_the_size_that_is_asked_for() {
    let shape = |file: ModelFile| file.image_shape().unwrap().dims().to_vec();
    let open = with_input(&["Relu x > f", LOGITS], [0, 0, 0, 3]);
    assert_eq!(shape(open.for_size(Some([48, 32])).unwrap()), [3, 48, 32]);
    assert_eq!(shape(open.for_size(None).unwrap()), [3, 224, 224]);
    let fixed = with_input(&["Relu x > f", LOGITS], [0, 3, 64, 64]);
    let error = fixed.for_size(Some([48, 32])).err().unwrap();
    assert_eq!(error.to_string(), "the model takes images of 64 x 64 pixels and no others, not of 48 x 32");
}
