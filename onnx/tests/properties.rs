//! Properties of random graphs in ONNX files.

#[path = "../../models/tests/support/mod.rs"]
mod support;

use models::{ModelSpec, Network, Preprocess, init};
use onnx::export::BatchNormalization;
use onnx::{ExportOptions, export, import};
use proptest::prelude::*;
use support::graphs;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn an_exported_graph_is_imported_with_the_same_weights(graph in graphs(), opset in 13..=20_i64) {
        let spec = ModelSpec::new("random", None, Preprocess::torchvision(16, 16));
        let network = Network::new(graph.clone(), &init::scrambled(&graph, 1), spec).expect("its own weights");
        let options = ExportOptions { opset, batch_norm: BatchNormalization::Keep, ..ExportOptions::default() };
        let file = export(&network, &options).expect("a valid file");
        let imported = import(file).expect("it was written by graft");
        prop_assert_eq!(imported.graph, network.graph);
        prop_assert_eq!(imported.params, network.params);
        prop_assert_eq!(imported.spec, Some(network.spec));
    }
}
