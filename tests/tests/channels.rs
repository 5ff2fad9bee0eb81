//! A network that was trained on blue, green, red answers the same when its colours come in the usual order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use models::channels;
use models::ops::{Conv2d, Flatten, GlobalAvgPool, MaxPool, Op, Relu, Shape, Window};
use models::preprocess::Batch;
use models::{Graph, GraphBuilder, Params, init};
use trainer::exec::Executor;

const SHAPE: [usize; 4] = [2, 3, 9, 7];

/// Whether a convolution takes the image, or a pooling and a convolution both do.
fn network(branches: bool) -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, SHAPE[2], SHAPE[3]));
    let mut x = graph.push("conv", Conv2d::new(3, 4, 3).padding(1), &[graph.input()]).unwrap();
    if branches {
        let pool = graph.push("pool", MaxPool(Window::new(3, 1).padding(1)), &[graph.input()]).unwrap();
        x = graph.push("concat", models::ops::Concat, &[x, pool]).unwrap();
    }
    x = graph.push("relu", Relu, &[x]).unwrap();
    x = graph.push("mean", GlobalAvgPool, &[x]).unwrap();
    x = graph.push("flatten", Flatten, &[x]).unwrap();
    graph.finish(x)
}

fn run(graph: &Graph, params: &Params, batch: &Batch) -> Vec<f32> {
    Executor::new(graph, params).unwrap().forward_batch(batch).unwrap().data().to_vec()
}

#[test]
fn reversing_the_network_is_reversing_the_image() {
    let image = Batch::noise(SHAPE[0], [SHAPE[1], SHAPE[2], SHAPE[3]], 5);
    let pixels = SHAPE[2] * SHAPE[3];
    let planes = (0..SHAPE[0]).flat_map(|n| image.item(n).chunks(pixels).rev().flatten().copied().collect::<Vec<_>>());
    let reversed_image = Batch::from_raw(SHAPE, planes.collect());
    for branches in [false, true] {
        let graph = network(branches);
        let params = init::scrambled(&graph, 2);
        let (reversed, weights) = channels::reversed(&graph, &params).unwrap();
        let nodes = reversed.nodes().iter().filter(|node| matches!(node.op, Op::Slice(_))).count();
        assert_eq!(nodes, usize::from(branches), "the order is folded into a convolution that alone takes the image");
        let [expected, found] = [run(&graph, &params, &reversed_image), run(&reversed, &weights, &image)];
        for (expected, found) in expected.iter().zip(found) {
            // The same products, added in another order.
            assert!((expected - found).abs() <= 1e-5 * expected.abs().max(1.0), "{expected} {found}");
        }
    }
}
