//! Files that are made to break what reads them, written message by message.

use super::*;
use crate::proto::{
    AttributeProto, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

/// A network from `x` of this shape to `y`.
fn import_of(shape: &[i64], initializer: Vec<TensorProto>, node: Vec<NodeProto>) -> Result<ImportedModel, ImportError> {
    let dim = |&size: &i64| DimensionProto { value: Some(Dimension::Value(size)), ..DimensionProto::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(shape) });
    let kind = Some(TypeProto { tensor_type, ..TypeProto::default() });
    let input = vec![ValueInfoProto { name: "x".into(), r#type: kind, ..ValueInfoProto::default() }];
    let output = vec![ValueInfoProto { name: "y".into(), ..ValueInfoProto::default() }];
    let graph = Some(GraphProto { input, output, initializer, node, ..GraphProto::default() });
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelFile { proto: ModelProto { graph, opset_import, ..ModelProto::default() } }.import()
}

const IMAGE: [i64; 4] = [1, 3, 8, 8];

fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
    let input = input.iter().map(|&input| input.into()).collect();
    NodeProto { op_type: op_type.into(), input, output: vec![output.into()], ..NodeProto::default() }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: values.to_vec(), ..AttributeProto::default() }
}

fn with(node: NodeProto, attribute: impl Into<Vec<AttributeProto>>) -> NodeProto {
    NodeProto { attribute: attribute.into(), ..node }
}

fn floats(name: &str, dims: &[i64], count: usize) -> TensorProto {
    let float_data = vec![0.5; count];
    TensorProto {
        name: name.into(),
        dims: dims.into(),
        data_type: data_type::FLOAT,
        float_data,
        ..TensorProto::default()
    }
}

fn numbers(name: &str, int64_data: Vec<i64>) -> TensorProto {
    let dims = vec![int64_data.len() as i64];
    TensorProto { name: name.into(), dims, data_type: data_type::INT64, int64_data, ..TensorProto::default() }
}

#[test]
fn a_file_cannot_make_more_numbers_than_its_size_and_any_network_warrant() {
    let side = 1 << 14;
    let whole = TensorProto { data_type: data_type::INT64, int64_data: vec![1], ..floats("", &[1], 0) };
    let whole = AttributeProto { name: "value".into(), t: Some(whole), ..AttributeProto::default() };
    let layer = |number: usize| {
        let input = if number == 0 { "flat".to_owned() } else { number.to_string() };
        let alpha = AttributeProto { name: "alpha".into(), f: Some(number as f32), ..AttributeProto::default() };
        let output = if number == 31 { "y".to_owned() } else { (number + 1).to_string() };
        with(node("Gemm", &[&input, "w"], &output), [alpha])
    };
    let layers = (0..32).map(layer);
    let many =
        [vec![node("Reshape", &["x", "shape"], "flat"), node("ConstantOfShape", &["square"], "w")], layers.collect()];
    for (what, initializer, nodes) in [
        (
            "rows gathered again and again",
            vec![floats("w", &[1, side], side as usize), numbers("i", vec![0; side as usize])],
            vec![node("Gather", &["w", "i"], "y")],
        ),
        (
            "a vector joined with itself",
            vec![numbers("i", vec![1; 1 << 16])],
            vec![node("Concat", &["i"; 1 << 12], "y")],
        ),
        ("a repeated number", vec![numbers("i", vec![1 << 14; 2])], vec![node("ConstantOfShape", &["i"], "y")]),
        (
            "a repeated whole number, which takes twice the room",
            vec![numbers("i", vec![1 << 27])],
            vec![with(node("ConstantOfShape", &["i"], "y"), [whole])],
        ),
        (
            "one weight multiplied by many factors",
            vec![numbers("square", vec![1 << 11; 2]), numbers("shape", vec![0, -1])],
            many.concat(),
        ),
    ] {
        let error = import_of(&[1, 1, 32, 64], initializer, nodes).unwrap_err().to_string();
        assert!(error.contains("more memory than any image network"), "{what}: {error}");
    }
    let error = import_of(&[1, 8192, 8192, 8192], vec![], vec![node("GlobalAveragePool", &["x"], "y")]).unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
}

#[test]
fn a_constant_without_numbers_is_refused_where_numbers_are_wanted_whatever_its_dimensions() {
    let huge = 1 << 40;
    for (dims, nodes) in [
        (vec![4, 0, huge, huge], vec![node("Conv", &["x", "w"], "y")]),
        (vec![0, 3, 3, 3], vec![node("Conv", &["x", "w"], "y")]),
        (vec![huge, 0], vec![node("Flatten", &["x"], "f"), node("Gemm", &["f", "w", "w"], "y")]),
        (vec![0, huge], vec![node("MatMul", &["x", "w"], "y")]),
        (vec![0], vec![node("Mul", &["x", "w"], "y")]),
        (vec![0], vec![node("BatchNormalization", &["x", "w", "w", "w", "w"], "y")]),
        (vec![0, huge, huge], vec![node("Transpose", &["w"], "t"), node("Add", &["x", "t"], "y")]),
        (vec![0, huge, huge], vec![node("Reshape", &["w", "i"], "t"), node("Add", &["x", "t"], "y")]),
        (vec![huge, 0], vec![node("Slice", &["w", "i", "j"], "s"), node("Add", &["x", "s"], "y")]),
        (vec![huge, 1, 0], vec![node("Unsqueeze", &["w", "i"], "u"), node("Add", &["x", "u"], "y")]),
    ] {
        let constants = vec![floats("w", &dims, 0), numbers("i", vec![1]), numbers("j", vec![huge])];
        let error = import_of(&IMAGE, constants, nodes).unwrap_err().to_string();
        assert!(error.contains("holds no numbers") || error.contains("is reshaped"), "{dims:?}: {error}");
    }
}

#[test]
fn numbers_at_the_ends_of_their_range_are_refused_or_read_but_break_nothing() {
    let nodes = |attribute: &dyn Fn(&str, i64) -> AttributeProto, edge: i64| {
        let with = |op: &str, inputs: &[&str], names: &[&str]| {
            with(node(op, inputs, "y"), names.iter().map(|name| attribute(name, edge)).collect::<Vec<_>>())
        };
        let window = ["kernel_shape", "pads", "strides", "dilations"];
        [
            with("Conv", &["x", "w"], &["group", "dilations"]),
            with("Conv", &["x", "w"], &["dilations", "strides"]),
            with("Conv", &["x", "w"], &["pads"]),
            with("MaxPool", &["x"], &window),
            with("MaxPool", &["x"], &window[..1]),
            with("AveragePool", &["x"], &window[..3]),
            with("LRN", &["x"], &["size"]),
            with("Flatten", &["x"], &["axis"]),
            with("Concat", &["x", "x"], &["axis"]),
            with("Concat", &["i", "i"], &["axis"]),
            with("Gather", &["x", "i"], &["axis"]),
            with("Gather", &["w", "i"], &["axis"]),
            with("Split", &["x"], &["axis"]),
            with("Split", &["x", "i"], &["axis"]),
            with("Slice", &["x", "i", "i"], &[]),
            with("Slice", &["x", "i", "i", "one", "i"], &[]),
            with("Slice", &["i", "i", "i", "zero", "i"], &[]),
            with("Pad", &["x", "i"], &[]),
            with("ReduceMean", &["x"], &["axes", "keepdims"]),
            with("Reshape", &["x", "i"], &[]),
            with("Reshape", &["w", "i"], &[]),
            with("Squeeze", &["x", "i"], &[]),
            with("Squeeze", &["w", "i"], &[]),
            with("Unsqueeze", &["x", "i"], &[]),
            with("Unsqueeze", &["w", "i"], &[]),
            with("Transpose", &["x"], &["perm"]),
            with("Transpose", &["w"], &["perm"]),
            with("Softmax", &["x"], &["axis"]),
            with("Shape", &["x"], &["start", "end"]),
            with("Add", &["i", "i"], &[]),
            with("DequantizeLinear", &["i", "w", "i"], &["axis"]),
            with("ConstantOfShape", &["i"], &[]),
            with("Cast", &["x"], &["to"]),
        ]
    };
    for edge in [i64::MIN, i64::MIN + 1, -1, 0, 1, 1 << 20, 1 << 31, 1 << 62, i64::MAX] {
        for count in [1, 2, 4] {
            let attribute = |name: &str, edge: i64| AttributeProto { i: Some(edge), ..ints(name, &vec![edge; count]) };
            for node in nodes(&attribute, edge) {
                let single = [("zero", 0), ("one", 1)].map(|(name, number)| numbers(name, vec![number]));
                let constants = [vec![floats("w", &[4, 3, 2, 2], 48), numbers("i", vec![edge; count])], single.into()];
                drop(import_of(&IMAGE, constants.concat(), vec![node]));
            }
        }
    }
}

#[test]
fn more_dimensions_than_networks_have_are_refused() {
    let axes: Vec<i64> = (1..=20).collect();
    let ones = vec![1; 20];
    for nodes in [
        vec![with(node("Unsqueeze", &["x"], "y"), [ints("axes", &axes)])],
        vec![node("Reshape", &["x", "shape"], "y")],
        vec![node("Unsqueeze", &["one", "axes"], "w"), node("Mul", &["x", "w"], "y")],
        vec![node("Reshape", &["one", "ones"], "w"), node("Mul", &["x", "w"], "y")],
    ] {
        let shape = [vec![0, 192], ones.clone()].concat();
        let constants = vec![
            floats("one", &[1], 1),
            numbers("axes", axes.clone()),
            numbers("ones", ones.clone()),
            numbers("shape", shape),
        ];
        let error = import_of(&IMAGE, constants, nodes).unwrap_err().to_string();
        assert!(error.contains("dimensions"), "{error}");
    }
    let error = import_of(&IMAGE, vec![floats("w", &ones, 1)], vec![node("Mul", &["x", "w"], "y")]).unwrap_err();
    assert!(error.to_string().contains("20 dimensions"), "{error}");
}

#[test]
fn a_node_whose_output_nothing_takes_is_left_out() {
    let nodes = vec![node("Relu", &["x"], ""), node("NoSuchOperator", &["x"], "z"), node("Relu", &["x"], "y")];
    assert_eq!(import_of(&IMAGE, vec![], nodes).unwrap().graph.nodes().len(), 2);
}

#[test]
fn as_many_nodes_of_one_name_as_a_file_can_have_take_no_time() {
    let named = |output: String| NodeProto { name: "relu".into(), ..node("Relu", &["x"], &output) };
    let mut nodes: Vec<NodeProto> = (0..100_000).map(|number| named(format!("{number}"))).collect();
    nodes.push(node("Identity", &["99999"], "y"));
    let begin = std::time::Instant::now();
    assert_eq!(import_of(&IMAGE, vec![], nodes).unwrap().graph.nodes().len(), 2);
    // A second in the slowest build; counting up from one for each would take minutes.
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
}

#[test]
fn a_softmax_is_left_off_with_the_dropout_behind_it() {
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "p"),
        node("Flatten", &["p"], "f"),
        node("Softmax", &["f"], "s"),
        node("Dropout", &["s"], "y"),
    ];
    let graph = import_of(&IMAGE, vec![], nodes).unwrap().graph;
    assert_eq!(graph.node(graph.output()).op.operator().kind(), "Flatten");
    let kept = import_of(&IMAGE, vec![], vec![node("Dropout", &["x"], "y")]).unwrap().graph;
    assert_eq!(kept.node(kept.output()).op.operator().kind(), "Dropout");
}

#[test]
fn a_weight_that_has_only_a_role_for_a_name_names_no_node() {
    let weight = floats(".weight", &[2, 3, 1, 1], 6);
    let graph = import_of(&IMAGE, vec![weight], vec![node("Conv", &["x", ".weight"], "y")]).unwrap().graph;
    assert_eq!(graph.node(graph.output()).name, "y");
}

#[test]
fn what_cancels_out_leaves_no_node() {
    let reversal = |input: &str, output: &str| node("Slice", &[input, "end", "begin", "axis", "back"], output);
    let eye = TensorProto { float_data: [[1.0, 0.0], [0.0, 1.0]].concat(), ..floats("eye", &[2, 2], 0) };
    let constants = vec![
        eye,
        numbers("end", vec![-1]),
        numbers("begin", vec![i64::MIN]),
        numbers("axis", vec![2]),
        numbers("back", vec![-1]),
    ];
    for nodes in [
        vec![reversal("x", "a"), reversal("a", "y")],
        vec![node("MatMul", &["eye", "x"], "a"), node("MatMul", &["a", "eye"], "y")],
    ] {
        assert_eq!(import_of(&[1, 3, 2, 2], constants.clone(), nodes).unwrap().graph.nodes().len(), 1);
    }
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "p"),
        node("Flatten", &["p"], "f"),
        with(node("Unsqueeze", &["f"], "y"), [ints("axes", &[2, 3])]),
    ];
    let graph = import_of(&IMAGE, vec![], nodes).unwrap().graph;
    assert_eq!(graph.nodes().len(), 3, "the vector at the end is the one that the image of one pixel was made of");
}

#[test]
fn a_number_an_image_is_made_a_vector() {
    let index = TensorProto { dims: vec![], ..numbers("index", vec![2]) };
    let axis = AttributeProto { name: "axis".into(), i: Some(1), ..AttributeProto::default() };
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "p"),
        node("Flatten", &["p"], "f"),
        with(node("Gather", &["f", "index"], "g"), [axis]),
        node("Flatten", &["g"], "y"),
    ];
    let graph = import_of(&IMAGE, vec![index], nodes).unwrap().graph;
    assert_eq!(graph.shape(graph.output()).dims(), [1]);
}
