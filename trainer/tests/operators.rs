//! Each operator against PyTorch, on the cases that trainer/reference/operators.py wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use models::ops::{Conv2d, Op, Shape};
use models::{Graph, GraphBuilder, Params, Tensor};
use serde::Deserialize;
use trainer::backend::{ComputeBackend, ExecutorSpec};

#[derive(Deserialize)]
struct Case {
    name: String,
    op: Op,
    inputs: Vec<Array>,
    params: Vec<Array>,
    output: Array,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// Sums of up to 150 products of numbers below 2 in f32, added in different orders: at most 1e-5 of the largest.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_operator_computes_what_pytorch_computes() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/operators.json")).unwrap();
    for backend in backends() {
        let failures: Vec<String> = cases.iter().filter_map(|case| failure(case, &backend).err()).collect();
        assert!(failures.is_empty(), "{backend}: {} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    }
}

/// Those that are compiled in.
fn backends() -> Vec<ComputeBackend> {
    vec![
        ComputeBackend::Rust,
        #[cfg(feature = "candle")]
        ComputeBackend::Candle(trainer::backend::CandleDevice::cpu(), trainer::backend::Precision::F32),
    ]
}

fn failure(case: &Case, backend: &ComputeBackend) -> Result<(), String> {
    let (graph, params, input) = network(case);
    let spec = ExecutorSpec::frozen(&graph, &params);
    let output = backend.open(&spec).unwrap().infer_nchw(&input).map_err(|e| format!("{}: {e}", case.name))?;
    if output.shape() != case.output.shape {
        return Err(format!("{}: shape {:?}, PyTorch {:?}", case.name, output.shape(), case.output.shape));
    }
    let difference = onnx::parity::relative_difference(&case.output.data, output.data());
    if difference > TOLERANCE {
        return Err(format!("{}: differs by {difference:.1e} of the largest number", case.name));
    }
    Ok(())
}

/// The operator as a network of its own. A network has one input, so an operator with several gets them as channels of
/// one tensor, which 1x1 convolutions take apart.
fn network(case: &Case) -> (Graph, Params, Tensor) {
    let inputs = &case.inputs;
    let input = side_by_side(inputs);
    let shape = match input.shape()[1..] {
        [features] => Shape::vector(features),
        [c, h, w] => Shape::image(c, h, w),
        _ => panic!("{}: an input of shape {:?}", case.name, input.shape()),
    };
    let mut graph = GraphBuilder::new("input", shape.clone());
    let mut params = Params::default();
    let mut values = vec![graph.input()];
    if inputs.len() > 1 {
        let (mut first, channels) = (0, shape.dims()[0]);
        values = inputs
            .iter()
            .map(|input| {
                let taken = input.shape[1];
                let select: Vec<f32> = (0..taken * channels)
                    .map(|at| if at % channels == first + at / channels { 1.0 } else { 0.0 })
                    .collect();
                let name = format!("take{first}");
                params.insert(format!("{name}.weight"), Tensor::new([taken, channels, 1, 1], select));
                first += taken;
                graph.push(&name, Conv2d::new(channels, taken, 1).without_bias(), &[values[0]]).unwrap()
            })
            .collect();
    }
    let node = graph.push("op", case.op.clone(), &values).unwrap();
    for (name, array) in graph.node(node).params.iter().zip(&case.params) {
        params.insert(name, Tensor::new(array.shape.clone(), array.data.clone()));
    }
    (graph.finish(node), params, input)
}

/// The channels of all of them, in their order.
fn side_by_side(arrays: &[Array]) -> Tensor {
    let batch = arrays[0].shape[0];
    let mut shape = arrays[0].shape.clone();
    shape[1] = arrays.iter().map(|array| array.shape[1]).sum();
    let of = |array: &Array, image: usize| {
        let each = array.data.len() / batch;
        array.data[image * each..][..each].to_vec()
    };
    Tensor::new(
        shape,
        (0..batch).flat_map(|image| arrays.iter().flat_map(move |array| of(array, image))).collect::<Vec<f32>>(),
    )
}
