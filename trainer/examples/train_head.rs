//! Trains a head on generated pictures: `cargo run --release --package trainer --example train_head`.
//!
//! The base is a small residual network with random weights. Its features already tell the two classes apart, so the new head
//! needs no pretrained weights and the example no download.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::num::NonZeroUsize;
use std::path::Path;

use models::preprocess::test_card;
use models::{ModelSpec, Network, Preprocess, init, zoo};
use onnx::{EngineKind, EngineSpec};
use trainer::backend::ComputeBackend;
use trainer::data::{DatasetSource, FileAccess, Layout};
use trainer::events::Unobserved;
use trainer::finetune::{Base, FinetuneOptions, Folders, ModelContent, Task, finetune};

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let pictures = folder.path().join("pictures");
    for (class, seed) in [("dunes", 1), ("waves", 2)] {
        write_pictures(&pictures.join(class), seed)?;
    }
    let below = |name: &str| folder.path().join(name);
    let trained = finetune(
        &Task {
            base_name: "resnet20_cifar",
            base: &Base::Network(Box::new(random_base()?)),
            source: &DatasetSource::new(Layout::Folder, pictures),
            access: &FileAccess::Everywhere,
            options: FinetuneOptions { epochs: 20, ..FinetuneOptions::default() },
            folders: &Folders { features: below("features"), runs: below("runs"), archives: below("archives") },
            engine: EngineSpec::plain(EngineKind::Tract, NonZeroUsize::MIN),
            backend: &ComputeBackend::Rust,
        },
        &mut Unobserved,
    )?;
    if let ModelContent::Native(network) = &trained.content {
        println!("{} classes: {}", network.graph.shape(network.graph.output()), trained.report.labels.join(", "));
    }
    println!("{} of {} test images are right", trained.report.test.top1, trained.report.test.images);
    Ok(())
}

/// Pictures of one pattern, each of another size and with other noise.
fn write_pictures(folder: &Path, seed: u64) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    (0..16)
        .try_for_each(|number| std::fs::write(folder.join(format!("{number}.png")), test_card(seed, 40 + number, 48)))
}

fn random_base() -> anyhow::Result<Network> {
    let row = zoo::find("resnet20_cifar").ok_or_else(|| anyhow::anyhow!("the zoo has no resnet20_cifar"))?;
    let graph = row.graph([32, 32], 10)?;
    let params = init::he(&graph, 0);
    let preprocess = Preprocess::torchvision(32, 32);
    let spec = ModelSpec::new(row.name().to_owned(), None, preprocess);
    Ok(Network::new(graph, &params, spec)?)
}
