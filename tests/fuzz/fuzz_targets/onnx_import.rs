//! ONNX files that graft parses: refused, or a network that is the same when it has been written and read again.

#![no_main]

use fuzz::{check, mutate};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use models::graph::Folding;
use models::ops::Op;
use models::{Labels, ModelSpec, Network, Preprocess};
use onnx::export::BatchNormalization;
use onnx::{ExportOptions, ImportedModel, ModelFile, export, import, metadata};

/// Larger networks are read, but writing each of them three times would take most of the time.
const LARGEST_WRITTEN: u64 = 1 << 20;

fuzz_target!(|file: &[u8]| {
    let _ = metadata::spec(file);
    let Ok(model) = ModelFile::decode_with(file.to_vec(), &mut mutate::zeros) else { return };
    let _ = (model.conventions(), model.operators(), model.producer(), model.is_quantized(), model.fixed_batch());
    let Ok(imported) = model.import() else { return };
    assert_eq!(model.image_shape().ok().as_ref(), Some(imported.graph.shape(imported.graph.input())));
    check::graph(&imported.graph);
    let network = network(imported);
    if network.graph.counts().weight_bytes <= LARGEST_WRITTEN {
        round_trip(&network);
    }
    drop(network);
    if let Ok(resized) = model.import_for(Some([48, 40])) {
        check::graph(&resized.graph);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { mutate::model(data, size, most, seed) });
fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| { mutate::join(one, other, out, seed) });

/// A network is the same when it has been written and read, but for names that a node had got because another, which has
/// gone since, had its own. A folded one is the same from then on.
fn round_trip(network: &Network) {
    let unfolded = written(network, BatchNormalization::Keep);
    assert_eq!(structure(network), structure(&unfolded), "from\n{}\nto\n{}", listing(network), listing(&unfolded));
    assert_eq!(network.params.checksum(), unfolded.params.checksum(), "the weights differ");
    assert_same(&unfolded, &written(&unfolded, BatchNormalization::Keep));
    let folded = written(network, BatchNormalization::Fold);
    // Folding leaves dropout off as well, and what stood on either side of it may be one node then.
    let dropout = network.graph.nodes().iter().any(|node| matches!(node.op, Op::Dropout(_)));
    let [before, after] = [network, &folded].map(|network| network.graph.fingerprint(Folding::Fold));
    assert!(dropout || before == after, "folding changes\n{}\nto\n{}", listing(network), listing(&folded));
    assert_same(&folded, &written(&folded, BatchNormalization::Fold));
}

fn network(ImportedModel { graph, params, spec, .. }: ImportedModel) -> Network {
    let labels = match graph.shape(graph.output()).dims() {
        &[classes @ 1..=64] => Some(Labels::new((0..classes).map(|class| class.to_string()).collect())),
        _ => None,
    };
    let foreign =
        ModelSpec::new(String::new(), labels, Preprocess::torchvision(32, 32));
    let spec = spec.filter(|spec| spec.labels.as_ref().map(Labels::len) == foreign.labels.as_ref().map(Labels::len));
    Network::new(graph, &params, spec.unwrap_or(foreign)).expect("the importer has compared weights and graph")
}

/// The network after it has been written and read again.
fn written(network: &Network, batch_norm: BatchNormalization) -> Network {
    let options = ExportOptions { batch_norm, ..ExportOptions::default() };
    let file =
        export(network, &options).unwrap_or_else(|error| panic!("cannot be written: {error}\n{}", listing(network)));
    let again = import(file).unwrap_or_else(|error| panic!("cannot be read again: {error}\n{}", listing(network)));
    assert_eq!(again.spec.as_ref(), Some(&network.spec));
    Network::new(again.graph, &again.params, network.spec.clone()).expect("the importer has compared weights and graph")
}

/// Compares text and bytes, since a number that is none does not equal itself.
fn assert_same(before: &Network, after: &Network) {
    let [before_nodes, after_nodes] = [before, after].map(listing);
    assert!(before_nodes == after_nodes, "the graph changes from\n{before_nodes}\nto\n{after_nodes}");
    assert_eq!(before.params.checksum(), after.params.checksum(), "the weights differ");
}

/// A node a line.
fn listing(network: &Network) -> String {
    let names = network.graph.nodes().iter().map(|node| &node.name);
    names.zip(structure(network)).map(|(name, node)| format!("  {name} {node}")).collect::<Vec<_>>().join("\n")
}

/// The nodes without their names.
fn structure(network: &Network) -> Vec<String> {
    let nodes = network.graph.nodes().iter();
    nodes.map(|node| format!("{:?} {:?} {:?}", node.op, node.inputs, node.params)).collect()
}
