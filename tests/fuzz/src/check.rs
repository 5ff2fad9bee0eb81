//! What must hold of every graph, wherever it came from.

use models::Graph;
use models::graph::Folding;

/// Asks everything that is asked of a graph before it is run.
pub fn graph(graph: &Graph) {
    let counts = graph.counts();
    assert!(counts.inference_bytes <= counts.training_bytes);
    let text = serde_json::to_string(graph).expect("a graph is plain data");
    // Numbers that JSON does not have come back as none at all.
    if let Ok(again) = serde_json::from_str::<Graph>(&text) {
        assert_eq!(serde_json::to_string(&again).expect("as before"), text);
    }
    for folding in [Folding::Keep, Folding::Fold] {
        assert_eq!(graph.fingerprint(folding), graph.prefix(graph.output()).fingerprint(folding));
    }
    if let Ok(grafted) = graph.graft("head", 7) {
        assert_eq!(grafted.graph.shape(grafted.graph.output()).dims(), [7]);
        assert_eq!(grafted.graph.classifier().map(|classifier| classifier.node()), Some(grafted.head));
        if let Ok(cut) = grafted.graph.cut(grafted.features) {
            assert_eq!(cut.prefix.shape(cut.prefix.output()), cut.suffix.shape(cut.suffix.input()));
        }
    }
}
