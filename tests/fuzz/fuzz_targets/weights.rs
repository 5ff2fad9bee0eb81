//! Files of weights: read within the memory that their size warrants, or refused, and then fitted to two networks.

#![no_main]

use std::sync::LazyLock;

use fuzz::memory;
use libfuzzer_sys::fuzz_target;
use models::ops::{Conv2d, Flatten, Linear, MaxPool, Relu, Shape, Window};
use models::weights::{self, MEMORY_FACTOR, MEMORY_FLOOR};
use models::{Graph, GraphBuilder, GraphError, zoo};

static GRAPHS: LazyLock<[Graph; 2]> = LazyLock::new(|| {
    let resnet = zoo::find("resnet18").expect("the zoo has it").graph([32; 2], 3);
    [small(), resnet].map(|graph| graph.expect("the nodes fit each other"))
});

fuzz_target!(|file: &[u8]| {
    let graphs = &*GRAPHS;
    let bytes = file.to_vec();
    let (read, peak) = memory::peak(|| weights::read(bytes));
    let allowed = MEMORY_FACTOR * file.len() as u64 + MEMORY_FLOOR;
    assert!(peak as u64 <= allowed, "{peak} bytes of memory for a file of {}, {allowed} are allowed", file.len());
    let Ok(state) = read else { return };
    for graph in graphs {
        let covered = graph.prefix(weights::covered(graph, &state));
        let _ = (weights::classes(graph, &state), weights::has_classifier(graph, &state));
        for graph in [graph, &covered] {
            if let Ok(fitted) = weights::fit(graph, &state) {
                let selected = fitted.params.select(graph).expect("they were fitted to it");
                // Not compared as numbers, since one that is none does not equal itself.
                assert_eq!(selected.checksum(), fitted.params.checksum());
            }
        }
    }
});

/// A VGG with the names of all conventions: the network of the files in `models/tests/data/weights`.
fn small() -> Result<Graph, GraphError> {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 9, 6));
    let mut x = graph.input();
    for (index, channels, width) in [(0, 3, 4), (3, 4, 5)] {
        x = graph.push(&format!("features.{index}"), Conv2d::new(channels, width, 3).padding(1), &[x])?;
        x = graph.push(&format!("features.{}", index + 1), Relu, &[x])?;
        x = graph.push(&format!("features.{}", index + 2), MaxPool(Window::new(2, 2)), &[x])?;
    }
    x = graph.push("flatten", Flatten, &[x])?;
    for (index, inputs, outputs) in [(0, 10, 6), (3, 6, 5), (6, 5, 3)] {
        x = graph.push(&format!("classifier.{index}"), Linear::new(inputs, outputs), &[x])?;
    }
    Ok(graph.finish(x))
}
