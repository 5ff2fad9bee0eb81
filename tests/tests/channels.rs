//! A network that was trained on blue, green, red answers the same when its colors come in the usual order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use models::channels;
use models::ops::{Conv2d, Flatten, GlobalAvgPool, MaxPool, Op, Relu, Shape, Window};
use models::preprocess::ImageBatch;
use models::{Graph, GraphBuilder, Node, Params, init};
use trainer::backend::CpuExecutor;

const SHAPE: [usize; 4] = [2, 3, 9, 7];

/// What takes the image.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beginning {
    Convolution,
    /// A pooling and a convolution.
    Branches,
    /// A convolution whose weights are used a second time, on its own output.
    SharedWeights,
}

fn network(beginning: Beginning) -> Graph {
    let mut graph = GraphBuilder::new("input", Shape::image(3, SHAPE[2], SHAPE[3]));
    let convolution = || Conv2d::new(3, 3, 3).padding(1);
    let mut x = graph.push("conv", convolution(), &[graph.input()]).unwrap();
    match beginning {
        Beginning::Convolution => {}
        Beginning::Branches => {
            let pool = graph.push("pool", MaxPool(Window::new(3, 1).padding(1)), &[graph.input()]).unwrap();
            x = graph.push("concat", models::ops::Concat, &[x, pool]).unwrap();
        }
        Beginning::SharedWeights => {
            let params = vec!["conv.weight".to_owned(), "conv.bias".to_owned()];
            let again = Node { name: "again".into(), op: convolution().into(), inputs: vec![x], params };
            x = graph.push_node(again).unwrap();
        }
    }
    x = graph.push("relu", Relu, &[x]).unwrap();
    x = graph.push("mean", GlobalAvgPool, &[x]).unwrap();
    x = graph.push("flatten", Flatten, &[x]).unwrap();
    graph.finish(x)
}

fn run(graph: &Graph, params: &Params, batch: &ImageBatch) -> Vec<f32> {
    CpuExecutor::new(graph, params).unwrap().infer_batch(batch).unwrap().data().to_vec()
}

#[test]
fn reversing_the_network_is_reversing_the_image() {
    let image = ImageBatch::noise(SHAPE[0], [SHAPE[1], SHAPE[2], SHAPE[3]], 5);
    let pixels = SHAPE[2] * SHAPE[3];
    let planes = (0..SHAPE[0]).flat_map(|n| image.item(n).chunks(pixels).rev().flatten().copied().collect::<Vec<_>>());
    let reversed_image = ImageBatch::from_raw(SHAPE, planes.collect());
    for beginning in [Beginning::Convolution, Beginning::Branches, Beginning::SharedWeights] {
        let graph = network(beginning);
        let params = init::scrambled(&graph, 2);
        let (reversed, weights) = channels::reversed(&graph, &params).unwrap();
        let nodes = reversed.nodes().iter().filter(|node| matches!(node.op, Op::Slice(_))).count();
        assert_eq!(
            nodes,
            usize::from(beginning != Beginning::Convolution),
            "the order is folded into a convolution that alone takes the image"
        );
        let [expected, found] = [run(&graph, &params, &reversed_image), run(&reversed, &weights, &image)];
        for (expected, found) in expected.iter().zip(found) {
            // The same products, added in another order.
            assert!((expected - found).abs() <= 1e-5 * expected.abs().max(1.0), "{expected} {found}");
        }
    }
}
