//! Imports an ONNX classifier, cuts it before its classifier and writes the prefix, which computes the features.
//!
//! `cargo run -p onnx --example cut model.onnx features.onnx`

#![expect(clippy::print_stdout, reason = "an example reports on the standard output")]

use models::{ModelSpec, Network, Preprocess};
use onnx::{ExportOptions, export, import};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1);
    let (Some(source), Some(target)) = (paths.next(), paths.next()) else {
        return Err("name a model and the file to write".into());
    };
    let model = import(std::fs::read(source)?)?;
    let classifier = model.graph.classifier().ok_or("the network ends in no classifier")?;
    let features = model.graph.node(classifier.node()).inputs[0];
    let prefix = model.graph.cut(features)?.prefix;
    println!(
        "{} of {} nodes, output {}",
        prefix.nodes().len(),
        model.graph.nodes().len(),
        prefix.shape(prefix.output())
    );
    // A file of another program does not say how its images are prepared.
    let spec = ModelSpec::new(model.producer, None, Preprocess::torchvision(256, 224));
    let network = Network::new(prefix, &model.params, spec)?;
    std::fs::write(target, export(&network, &ExportOptions::default())?)?;
    Ok(())
}
