//! What the pass promises of the file that it writes.

use models::Tensor;
use models::ops::Shape;
use prost::Message;

use super::scale::{ActivationScale, WeightScale};
use super::*;
use crate::engine::Outputs;
use crate::proto::{AttributeProto, OperatorSetIdProto, TensorProto, data_type};
use crate::write::{floats, value_info};

fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: op_type.to_owned(),
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn with(mut node: NodeProto, attributes: Vec<AttributeProto>) -> NodeProto {
    node.attribute = attributes;
    node
}

fn weight(name: &str, shape: &[usize], numbers: &[f32]) -> TensorProto {
    floats(name, &Tensor::new(shape, numbers.to_vec()))
}

/// A file from images `x` of two channels to `logits`.
fn file(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Vec<u8> {
    let graph = GraphProto {
        input: vec![value_info("x", &Shape::image(2, 4, 4))],
        output: vec![value_info("logits", &Shape::vector(2))],
        node: nodes,
        initializer,
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() }.encode_to_vec()
}

/// `x`, convolution, ReLU, global pooling, a linear layer.
fn classifier() -> Vec<u8> {
    let nodes = vec![
        node("Conv", &["x", "w", "b"], "conv"),
        node("Relu", &["conv"], "relu"),
        node("GlobalAveragePool", &["relu"], "pool"),
        node("Flatten", &["pool"], "flat"),
        with(node("Gemm", &["flat", "head", "bias"], "logits"), vec![Attribute::int("transB", 1).into_proto()]),
    ];
    let weights = vec![
        weight("w", &[2, 2, 1, 1], &[1.0, -0.5, 0.25, 0.125]),
        weight("b", &[2], &[0.5, -1.0]),
        weight("head", &[2, 2], &[1.0, 2.0, -4.0, 3.0]),
        weight("bias", &[2], &[0.0, 1.0]),
    ];
    file(nodes, weights)
}

/// Ranges in which each tensor lies between these numbers.
fn ranges(quantizer: &Quantizer, [low, high]: [f32; 2]) -> Ranges {
    let mut ranges = quantizer.ranges();
    let scalar = |number: f32| Tensor::new([0_usize; 0], vec![number]);
    let outputs = (0..quantizer.plan.tensors.len())
        .flat_map(|index| [(minimum(index), scalar(low)), (maximum(index), scalar(high))])
        .collect();
    ranges.observe(&Outputs::new(outputs));
    ranges
}

fn quantized(file: &[u8], range: [f32; 2]) -> GraphProto {
    let quantizer = Quantizer::new(file).unwrap();
    let file = quantizer.quantize(&ranges(&quantizer, range)).unwrap();
    ModelFile::decode(file).unwrap().proto.graph.unwrap()
}

/// `operator(inputs)` of the nodes, those of `QuantizeLinear` and `DequantizeLinear` left out.
fn arithmetic(graph: &GraphProto) -> Vec<String> {
    let nodes = graph.node.iter().filter(|node| !node.op_type.ends_with("uantizeLinear"));
    nodes.map(|node| format!("{}({})", node.op_type, node.input.join(", "))).collect()
}

fn stored<'g>(graph: &'g GraphProto, name: &str) -> &'g TensorProto {
    graph.initializer.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("no `{name}`"))
}

#[test]
fn activations_are_quantized_behind_the_rectifier_and_the_logits_are_not() {
    let graph = quantized(&classifier(), [0.0, 2.0]);
    assert_eq!(
        arithmetic(&graph),
        [
            "Conv(x.dequantized, conv.weight.dequantized, conv.bias.dequantized)",
            "Relu(conv)",
            "GlobalAveragePool(relu.dequantized)",
            "Flatten(pool)",
            "Gemm(flat.dequantized, logits.weight.dequantized, logits.bias.dequantized)",
        ]
    );
    let held: Vec<&str> =
        graph.node.iter().filter(|node| node.op_type == "QuantizeLinear").map(|node| node.input[0].as_str()).collect();
    assert_eq!(held, ["x", "relu", "flat"]);
    assert!(graph.initializer.iter().all(|tensor| !["w", "b", "head", "bias"].contains(&tensor.name.as_str())));
}

#[test]
fn a_distance_and_what_it_does_to_logits_are_not_quantized() {
    let transposed = |node| with(node, vec![Attribute::int("transB", 1).into_proto()]);
    let nodes = vec![
        node("Conv", &["x", "w", "b"], "conv"),
        node("GlobalAveragePool", &["conv"], "pool"),
        node("Flatten", &["pool"], "flat"),
        transposed(node("Gemm", &["flat", "head", "bias"], "scores")),
        transposed(node("Gemm", &["flat", "directions"], "along")),
        transposed(node("Gemm", &["along", "back"], "projection")),
        node("Add", &["flat", "projection"], "residual"),
        node("ReduceL2", &["residual"], "distance"),
        transposed(node("Gemm", &["distance", "factor"], "shift")),
        node("Add", &["scores", "shift"], "logits"),
    ];
    let weights = vec![
        weight("w", &[2, 2, 1, 1], &[1.0, -0.5, 0.25, 0.125]),
        weight("b", &[2], &[0.5, -1.0]),
        weight("head", &[2, 2], &[1.0, 2.0, -4.0, 3.0]),
        weight("bias", &[2], &[0.0, 1.0]),
        weight("directions", &[1, 2], &[0.6, 0.8]),
        weight("back", &[2, 1], &[-0.6, -0.8]),
        weight("factor", &[2, 1], &[-3.0, -3.0]),
    ];
    assert_eq!(
        arithmetic(&quantized(&file(nodes, weights), [-2.0, 2.0]))[3..],
        [
            "Gemm(flat.dequantized, scores.weight.dequantized, scores.bias.dequantized)",
            "Gemm(flat.dequantized, directions)",
            "Gemm(along, back)",
            "Add(flat.dequantized, projection)",
            "ReduceL2(residual)",
            "Gemm(distance, factor)",
            "Add(scores, shift)",
        ]
    );
}

#[test]
fn weights_have_a_symmetric_scale_for_each_channel_and_a_bias_that_of_the_products() {
    let graph = quantized(&classifier(), [0.0, 2.55]);
    // 127 stands for the largest weight of a channel: 1.0 and 0.25. The step of the input is 0.01.
    assert_eq!(stored(&graph, "conv.weight.integers").raw_data.as_ref(), [127_i8, -64, 127, 64].map(|q| q as u8));
    let numbers = |name: &str| -> Vec<f32> {
        stored(&graph, name).raw_data.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    assert_eq!(numbers("conv.weight.integers.scale"), [1.0 / 127.0, 0.25 / 127.0]);
    let bias: Vec<i32> = stored(&graph, "conv.bias.integers")
        .raw_data
        .chunks(4)
        .map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    // 0.5 / (0.01 / 127) and -1 / (0.01 * 0.25 / 127).
    assert_eq!(bias, [6350, -50800]);
    assert_eq!(stored(&graph, "conv.bias.integers").data_type, data_type::INT32);
    let axes = |name: &str| {
        let node = graph.node.iter().find(|node| node.output[0] == name).unwrap();
        node.attribute.iter().find(|attribute| attribute.name == "axis").unwrap().i
    };
    assert_eq!([axes("conv.weight.dequantized"), axes("logits.weight.dequantized")], [Some(0), Some(0)]);
}

#[test]
fn half_the_range_of_weights_leaves_room_for_the_sum_of_two_products() {
    let quantizer = Quantizer::new(&classifier()).unwrap().with_weights(WeightRange::Half);
    let model = quantizer.quantized(&ranges(&quantizer, [0.0, 2.55])).unwrap();
    // 64 stands for the largest weight of a channel: 1.0 and 0.25.
    let weights = stored(model.graph.as_ref().unwrap(), "conv.weight.integers");
    assert_eq!(weights.raw_data.as_ref(), [64_i8, -32, 64, 32].map(|q| q as u8));
    assert!(2 * 255 * 64 <= i32::from(i16::MAX));
    assert_eq!([WeightRange::Full, WeightRange::Half].map(WeightRange::bits), [8, 7]);
}

#[test]
fn a_range_holds_zero_exactly_and_the_largest_step_reaches_its_end() {
    let scale = ActivationScale::of([-1.0, 3.0], None);
    // -(-1) / (4 / 255) is 63.75.
    assert_eq!(scale, ActivationScale { scale: 4.0 / 255.0, zero_point: 64 });
    assert_eq!(ActivationScale::of([0.5, 2.55], None).zero_point, 0, "zero is in every range");
    assert_eq!(ActivationScale::of([0.0, 0.0], None), ActivationScale { scale: 1.0, zero_point: 0 });
    let capped = ActivationScale::of([0.0, 6.0], Some(6.0));
    assert!(capped.scale * 255.0 <= 6.0 && capped.scale * 255.0 > 5.9999, "{capped:?}");
}

#[test]
fn a_bias_that_is_huge_beside_its_weights_still_fits_into_32_bits() {
    let input = ActivationScale { scale: 0.01, zero_point: 0 };
    let scale = WeightScale::of(WeightRange::Full, 1e-9, 5.0, input);
    let bias = scale.bias(5.0);
    assert!((f64::from(bias) * f64::from(scale.bias_scale) - 5.0).abs() < 1e-6, "{bias}");
    assert!(bias.abs() <= 1 << 30, "{bias}");
    assert_eq!(WeightScale::of(WeightRange::Full, 0.0, 0.0, input).scale, 1.0, "a channel of zeros has some scale");
}

#[test]
fn a_batch_normalization_that_no_convolution_can_take_becomes_one() {
    let mut nodes = vec![
        node("Relu", &["x"], "relu"),
        with(
            node("BatchNormalization", &["relu", "gamma", "beta", "mean", "variance"], "norm"),
            vec![Attribute::float("epsilon", 1.0).into_proto()],
        ),
    ];
    nodes.extend([
        node("Conv", &["norm", "w"], "conv"),
        node("GlobalAveragePool", &["conv"], "pool"),
        node("Flatten", &["pool"], "logits"),
    ]);
    let weights = vec![
        weight("gamma", &[2], &[2.0, 6.0]),
        weight("beta", &[2], &[1.0, 0.0]),
        weight("mean", &[2], &[3.0, 5.0]),
        weight("variance", &[2], &[3.0, 8.0]),
        weight("w", &[2, 2, 1, 1], &[1.0, 0.0, 0.0, 1.0]),
    ];
    let quantizer = Quantizer::new(&file(nodes, weights)).unwrap();
    let graph = quantizer.model.graph.as_ref().unwrap();
    let numbers = |name: &str| -> Vec<f32> {
        stored(graph, name).raw_data.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    // gamma / sqrt(variance + 1) and beta - mean * that.
    assert_eq!((numbers("norm.weight"), numbers("norm.bias")), (vec![1.0, 2.0], vec![-2.0, -10.0]));
    assert_eq!(arithmetic(graph)[1], "Conv(relu, norm.weight, norm.bias)");
    let group = graph.node[1].attribute.iter().find(|attribute| attribute.name == "group").unwrap();
    assert_eq!(group.i, Some(2));
    assert!(!graph.initializer.iter().any(|tensor| tensor.name == "gamma"));
}

#[test]
fn max_pooling_keeps_the_scale_of_what_it_takes() {
    let nodes = vec![
        node("Conv", &["x", "w"], "conv"),
        with(node("MaxPool", &["conv"], "pool"), vec![Attribute::ints("kernel_shape", &[2, 2]).into_proto()]),
        node("Conv", &["pool", "w"], "last"),
        node("GlobalAveragePool", &["last"], "mean"),
        node("Flatten", &["mean"], "logits"),
    ];
    let quantizer = Quantizer::new(&file(nodes, vec![weight("w", &[2, 2, 1, 1], &[1.0, 0.5, 0.25, 1.0])])).unwrap();
    let scales = quantizer.plan.scales(&ranges(&quantizer, [-1.0, 1.0])).unwrap();
    let names: Vec<&str> = quantizer.plan.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["x", "conv", "pool", "last"]);
    assert!(!quantizer.plan.tensors[2].is_observed());
    assert_eq!(scales[1], scales[2]);
}

#[test]
fn shortcuts_are_added_as_integers_and_what_nothing_quantized_takes_part_in_stays() {
    let nodes = vec![
        node("Sub", &["x", "mean"], "centered"),
        node("Conv", &["centered", "w"], "left"),
        node("Conv", &["centered", "w"], "right"),
        node("Add", &["left", "right"], "sum"),
        node("Relu", &["sum"], "relu"),
        node("Softplus", &["relu"], "soft"),
        node("Mul", &["soft", "soft"], "square"),
        node("GlobalAveragePool", &["square"], "pool"),
        node("Flatten", &["pool"], "logits"),
    ];
    let weights = vec![weight("w", &[2, 2, 1, 1], &[1.0, 0.5, 0.25, 1.0]), weight("mean", &[1], &[0.5])];
    let graph = quantized(&file(nodes, weights), [0.0, 1.0]);
    assert_eq!(
        arithmetic(&graph),
        [
            "Sub(x, mean)",
            "Conv(centered.dequantized, left.weight.dequantized)",
            "Conv(centered.dequantized, right.weight.dequantized)",
            "Add(left.dequantized, right.dequantized)",
            "Relu(sum)",
            "Softplus(relu.dequantized)",
            "Mul(soft, soft)",
            "GlobalAveragePool(square)",
            "Flatten(pool)",
        ]
    );
}

#[test]
fn a_convolution_whose_output_is_the_answer_stays_in_f32() {
    let nodes = vec![
        node("Conv", &["x", "w"], "conv"),
        node("GlobalAveragePool", &["conv"], "pool"),
        node("Conv", &["pool", "w"], "head"),
        node("Flatten", &["head"], "logits"),
    ];
    let graph = quantized(&file(nodes, vec![weight("w", &[2, 2, 1, 1], &[1.0, 0.5, 0.25, 1.0])]), [0.0, 1.0]);
    assert_eq!(arithmetic(&graph)[2..], ["Conv(pool, w)", "Flatten(head)"]);
}

#[test]
fn what_cannot_be_quantized_is_refused_with_the_reason() {
    let refused = |file: &[u8]| Quantizer::new(file).unwrap_err().to_string();
    let quantizer = Quantizer::new(&classifier()).unwrap();
    let again = quantizer.quantize(&ranges(&quantizer, [0.0, 1.0])).unwrap();
    assert!(refused(&again).contains("quantized already"), "{}", refused(&again));
    let nothing = file(vec![node("Flatten", &["x"], "logits")], vec![]);
    assert!(refused(&nothing).contains("no convolution"), "{}", refused(&nothing));
    let mut old = ModelFile::decode(classifier()).unwrap();
    old.proto.opset_import[0].version = 12;
    assert!(refused(&old.encode()).contains("operator set 12"), "{}", refused(&old.encode()));
    assert!(refused(b"junk").contains("ONNX"), "{}", refused(b"junk"));
    let missing = quantizer.quantize(&quantizer.ranges()).unwrap_err();
    assert!(matches!(missing, QuantizeError::NotCalibrated(ref tensor) if tensor == "x"), "{missing}");
    let infinite = quantizer.quantize(&ranges(&quantizer, [0.0, f32::NAN])).unwrap_err();
    assert!(matches!(infinite, QuantizeError::NotFinite(_)), "{infinite}");
}

#[test]
fn a_range_grows_with_every_image_and_a_number_that_is_none_stays() {
    let quantizer = Quantizer::new(&classifier()).unwrap();
    let observe = |ranges: &mut Ranges, low: f32, high: f32| {
        let tensor = |number: f32| Tensor::new([0_usize; 0], vec![number]);
        ranges.observe(&Outputs::new(vec![(minimum(0), tensor(low)), (maximum(0), tensor(high))]));
    };
    let mut ranges = quantizer.ranges();
    observe(&mut ranges, 1.0, 2.0);
    observe(&mut ranges, -1.0, 1.5);
    assert_eq!((ranges.get(0), ranges.get(1)), (Some([-1.0, 2.0]), None));
    observe(&mut ranges, f32::NAN, 3.0);
    observe(&mut ranges, 0.0, 3.0);
    assert!(ranges.get(0).unwrap()[0].is_nan());
}
