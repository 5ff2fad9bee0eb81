//! Graphs in the form in which files of networks have them: refused, or well formed.

#![no_main]

use fuzz::check;
use libfuzzer_sys::fuzz_target;
use models::{Graph, weights};

fuzz_target!(|file: &[u8]| {
    if let Ok(network) = weights::read_network(file) {
        check::graph(&network.graph);
        let _ = weights::write_network(&network);
    } else if let Ok(graph) = serde_json::from_slice::<Graph>(file) {
        check::graph(&graph);
    }
});
