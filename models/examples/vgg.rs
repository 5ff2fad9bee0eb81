//! Builds VGG-16 for ten classes and prints its layers.
//!
//! `cargo run -p models --example vgg`

#![expect(clippy::print_stdout, reason = "an example reports on the standard output")]

use models::zoo;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let row = zoo::find("vgg16").ok_or("no such network")?;
    let graph = row.graph([224, 224], 10)?;
    for (id, node) in graph.iter() {
        let kind = node.op.operator().kind();
        println!("{:16} {kind:12} {:>20} {:>12}", node.name, graph.shape(id).to_string(), node.parameters());
    }
    let counts = graph.counts();
    println!("{} parameters, {:.1} GMAC an image", counts.parameters, counts.macs as f64 / 1e9);
    Ok(())
}
