//! What gradients are checked of: every operator, with all that may go wrong, and what is computed as one.

use models::graph::NodeId;
use models::ops::{
    Activation, AdaptiveAvgPool, Add, AvgPool, BatchNorm, Concat, Conv2d, Flatten, GlobalAvgPool, L2Length, L2Norm,
    Linear, LocalResponseNorm, MaxPool, Mul, Normalize, Op, Pad, Padding, Relu, Reshape, Scale, Shape, Slice, Softmax,
    Span, Transpose, Window,
};
use models::{GraphBuilder, Node};

use super::gradients::Case;
use super::reference::Statistics;

pub(in crate::backend) fn all() -> Vec<Case> {
    [convolutions(), pools(), norms(), elementwise(), structure(), fused()].into_iter().flatten().collect()
}

/// One operator on an input of this shape.
fn single(name: &str, op: impl Into<Op>, shape: Shape) -> Case {
    network(name, shape, |builder, x| builder.push("op", op, &[x]).unwrap())
}

fn network(name: &str, shape: Shape, build: impl FnOnce(&mut GraphBuilder, NodeId) -> NodeId) -> Case {
    let mut builder = GraphBuilder::new("x", shape);
    let input = builder.input();
    let output = build(&mut builder, input);
    Case { name: name.to_owned(), graph: builder.finish(output), batch: 2, statistics: Statistics::Batch }
}

pub(in crate::backend) fn convolutions() -> Vec<Case> {
    let padding = Padding { top: 0, left: 1, bottom: 2, right: 1 };
    let conv = |from, to, kernel| Conv2d::new(from, to, kernel);
    let table = [
        ("3x3 on odd sizes", conv(9, 5, 3).padding(1), [5, 7]),
        ("3x3, stride 2, on even and odd sizes", conv(9, 5, 3).padding(1).stride(2), [6, 7]),
        ("3x3, stride 2, on odd and even sizes", conv(10, 5, 3).padding(1).stride(2), [7, 8]),
        ("3x3 of few channels", conv(3, 5, 3).padding(1), [6, 5]),
        ("7x7, stride 2, as in a stem", conv(3, 4, 7).padding(3).stride(2), [11, 10]),
        ("1x1", conv(9, 33, 1).without_bias(), [3, 4]),
        ("1x1, stride 2", conv(9, 4, 1).stride(2).without_bias(), [5, 6]),
        ("dilation 2", Conv2d { dilation: [2, 2], ..conv(8, 3, 3).padding(2) }, [6, 7]),
        ("groups", Conv2d { groups: 2, ..conv(16, 6, 3).padding(1) }, [4, 5]),
        ("groups of one input channel", Conv2d { groups: 4, ..conv(4, 8, 3).padding(1) }, [4, 5]),
        ("depthwise", Conv2d { groups: 6, ..conv(6, 6, 3).padding(1) }, [5, 4]),
        ("depthwise, stride 2", Conv2d { groups: 17, ..conv(17, 17, 3).padding(1).stride(2) }, [5, 6]),
        ("asymmetric padding", Conv2d { padding, ..conv(8, 3, 3).stride(2) }, [6, 6]),
        ("a window that is no square", Conv2d { kernel: [1, 3], stride: [2, 1], ..conv(8, 3, 1) }, [5, 5]),
        ("stride 3 with a window of 2", conv(8, 3, 2).stride(3), [7, 8]),
        ("a window larger than the image", conv(8, 3, 5).padding(2), [2, 3]),
    ];
    let cases = table.into_iter().map(|(name, conv, [height, width])| {
        let shape = Shape::image(conv.in_channels, height, width);
        single(name, conv, shape)
    });
    let alone = Case { batch: 1, ..single("a batch of one", conv(9, 4, 3).padding(1), Shape::image(9, 4, 4)) };
    let five = Case { batch: 5, ..single("a batch of five", conv(9, 4, 3).padding(1), Shape::image(9, 3, 3)) };
    cases.chain([alone, five]).collect()
}

fn pools() -> Vec<Case> {
    let overlapping = Window::new(3, 2).padding(1);
    let ceil = Window { ceil: true, ..Window::new(3, 2) };
    let average = |window, count_padding| AvgPool { window, count_padding };
    vec![
        single("max 2x2", MaxPool(Window::new(2, 2)), Shape::image(3, 4, 6)),
        single("max 2x2 with a remainder", MaxPool(Window::new(2, 2)), Shape::image(3, 5, 7)),
        single("max 3x3, overlapping and padded", MaxPool(overlapping), Shape::image(3, 7, 6)),
        single("max, hanging over", MaxPool(ceil), Shape::image(2, 6, 6)),
        single("mean 2x2", average(Window::new(2, 2), false), Shape::image(3, 5, 4)),
        single("mean, overlapping, padding not counted", average(overlapping, false), Shape::image(3, 7, 6)),
        single("mean, overlapping, padding counted", average(overlapping, true), Shape::image(3, 7, 6)),
        single("mean 1x1, stride 2", average(Window::new(1, 2), false), Shape::image(3, 5, 4)),
        single("mean, hanging over", average(ceil, true), Shape::image(2, 6, 6)),
        single("adaptive, overlapping", AdaptiveAvgPool { output: [3, 2] }, Shape::image(2, 7, 5)),
        single("adaptive, larger than the image", AdaptiveAvgPool { output: [5, 3] }, Shape::image(2, 3, 2)),
        single("global", GlobalAvgPool, Shape::image(3, 5, 4)),
    ]
}

fn norms() -> Vec<Case> {
    let norm = || single("batch norm", BatchNorm::new(3), Shape::image(3, 4, 5));
    let frozen = network("frozen batch norm behind a convolution", Shape::image(2, 4, 4), |builder, x| {
        let conv = builder.push("conv", Conv2d::new(2, 3, 3).without_bias(), &[x]).unwrap();
        builder.push("norm", BatchNorm::new(3), &[conv]).unwrap()
    });
    vec![
        norm(),
        Case { batch: 1, name: "batch norm of one image".to_owned(), ..norm() },
        Case { statistics: Statistics::Running, name: "batch norm in evaluation".to_owned(), ..norm() },
        Case { statistics: Statistics::Running, ..frozen },
        Case { batch: 5, ..single("batch norm of vectors", BatchNorm::new(4), Shape::vector(4)) },
        single(
            "local response",
            LocalResponseNorm { size: 3, alpha: 0.3, beta: 0.75, bias: 1.5 },
            Shape::image(6, 2, 3),
        ),
        single(
            "local response, even",
            LocalResponseNorm { size: 4, alpha: 0.5, beta: 0.6, bias: 2.0 },
            Shape::image(5, 2, 2),
        ),
    ]
}

fn elementwise() -> Vec<Case> {
    let functions = [
        Activation::LeakyRelu { alpha: 0.1 },
        Activation::Clip { min: -0.5, max: 1.0 },
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::HardSwish,
        Activation::Tanh,
        Activation::Elu { alpha: 0.7 },
        Activation::Abs,
        Activation::Sign,
        Activation::SignedSqrt,
    ];
    let shape = || Shape::image(3, 3, 2);
    let activations = functions.into_iter().map(|function| single(&format!("{function:?}"), function, shape()));
    let scale = |weight, bias| single("scale", Scale { channels: 3, weight, bias }, shape());
    let two = |name: &str, op: Op, second: Op| {
        network(name, shape(), |builder, x| {
            let other = builder.push("other", second, &[x]).unwrap();
            builder.push("op", op, &[x, other]).unwrap()
        })
    };
    let others = [
        single("relu", Relu, shape()),
        single("softmax", Softmax, Shape::vector(5)),
        single("vector of length one", L2Norm, Shape::vector(7)),
        single("length of a vector", L2Length, Shape::vector(7)),
        network("root", shape(), |builder, x| {
            let positive = builder.push("positive", Activation::Sigmoid, &[x]).unwrap();
            builder.push("op", Activation::Sqrt, &[positive]).unwrap()
        }),
        single("normalize", Normalize { mean: vec![0.3, 0.2, 0.1], std: vec![0.5, 2.0, 1.5] }, shape()),
        scale(true, true),
        scale(true, false),
        scale(false, true),
        two("sum", Add.into(), Activation::Tanh.into()),
        two("product", Mul.into(), Activation::Tanh.into()),
        two("product with gates", Mul.into(), GlobalAvgPool.into()),
        network("a square", shape(), |builder, x| builder.push("op", Mul, &[x, x]).unwrap()),
        network("gates first", shape(), |builder, x| {
            let gates = builder.push("gates", GlobalAvgPool, &[x]).unwrap();
            builder.push("op", Mul, &[gates, x]).unwrap()
        }),
        network("three terms", shape(), |builder, x| {
            let a = builder.push("a", Activation::Tanh, &[x]).unwrap();
            let b = builder.push("b", Activation::Sigmoid, &[x]).unwrap();
            let sum = builder.push("sum", Add, &[a, b, x]).unwrap();
            builder.push("relu", Relu, &[sum]).unwrap()
        }),
        network("twice the same", shape(), |builder, x| builder.push("op", Add, &[x, x]).unwrap()),
    ];
    activations.chain(others).collect()
}

fn structure() -> Vec<Case> {
    let spans = vec![Span::reversed(3), Span::every_second(5), Span { start: 1, length: 2, step: 1 }];
    let pad = Pad { before: vec![1, 0, 2], after: vec![2, 1, 0], value: 0.5 };
    vec![
        single("flatten", Flatten, Shape::image(3, 2, 4)),
        single("reshape", Reshape { shape: Shape::image(2, 3, 4) }, Shape::image(4, 3, 2)),
        single("reshape to two dimensions", Reshape { shape: Shape::new([3, 8]) }, Shape::image(4, 3, 2)),
        single("transpose", Transpose { order: vec![1, 2, 0] }, Shape::image(3, 2, 4)),
        single("slice", Slice { spans }, Shape::image(3, 5, 4)),
        single("pad", pad, Shape::image(2, 3, 2)),
        single("linear", Linear::new(7, 5), Shape::vector(7)),
        single("linear without bias", Linear { bias: false, ..Linear::new(7, 5) }, Shape::vector(7)),
        network("concat", Shape::image(3, 2, 2), |builder, x| {
            let other = builder.push("other", Conv2d::new(3, 2, 1), &[x]).unwrap();
            builder.push("op", Concat, &[other, x, other]).unwrap()
        }),
    ]
}

fn fused() -> Vec<Case> {
    let shape = || Shape::image(9, 4, 4);
    let conv = || Conv2d::new(9, 9, 3).padding(1).without_bias();
    let residual = |name: &str, later: Op| {
        network(name, shape(), |builder, x| {
            let conv = builder.push("conv", conv(), &[x]).unwrap();
            let norm = builder.push("norm", BatchNorm::new(9), &[conv]).unwrap();
            let shortcut = builder.push("shortcut", later, &[x]).unwrap();
            let sum = builder.push("sum", Add, &[norm, shortcut]).unwrap();
            let relu = builder.push("relu", Relu, &[sum]).unwrap();
            builder.push("next", self::Conv2d::new(9, 2, 1), &[relu]).unwrap()
        })
    };
    vec![
        network("convolution and ReLU", shape(), |builder, x| {
            let conv = builder.push("conv", Conv2d::new(9, 5, 3), &[x]).unwrap();
            builder.push("relu", Relu, &[conv]).unwrap()
        }),
        network("convolution, norm and ReLU", shape(), |builder, x| {
            let conv = builder.push("conv", conv(), &[x]).unwrap();
            let norm = builder.push("norm", BatchNorm::new(9), &[conv]).unwrap();
            builder.push("relu", Relu, &[norm]).unwrap()
        }),
        residual("a block whose shortcut is normalized later", BatchNorm::new(9).into()),
        residual("a block whose shortcut ends in a sigmoid", Activation::Sigmoid.into()),
        network("a block with the identity for shortcut", shape(), |builder, x| {
            let conv = builder.push("conv", conv(), &[x]).unwrap();
            let norm = builder.push("norm", BatchNorm::new(9), &[conv]).unwrap();
            let sum = builder.push("sum", Add, &[norm, x]).unwrap();
            builder.push("relu", Relu, &[sum]).unwrap()
        }),
        network("a block with activation first", shape(), |builder, x| {
            let norm = builder.push("norm", BatchNorm::new(9), &[x]).unwrap();
            let relu = builder.push("relu", Relu, &[norm]).unwrap();
            let conv = builder.push("conv", conv(), &[relu]).unwrap();
            builder.push("sum", Add, &[conv, x]).unwrap()
        }),
        network("a weight that two nodes share", shape(), |builder, x| {
            let node = |name: &str, input: NodeId| Node {
                name: name.to_owned(),
                op: conv().into(),
                inputs: vec![input],
                params: vec!["shared.weight".to_owned()],
            };
            let first = builder.push_node(node("first", x)).unwrap();
            builder.push_node(node("second", first)).unwrap()
        }),
    ]
}
