//! Into the store, when every engine agrees.

use anyhow::{Result, bail};
use models::Network;
use models::preprocess::{ImageBatch, Limits, test_card};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{Engine, engine};
use server::store::{Artifacts, Golden, ModelContent, ModelName, ModelStore};
use trainer::finetune::golden;

use super::session::ImportSession;

/// How many synthetic images a model without pictures of its own must reproduce.
const CARDS: u64 = 3;

/// Stores a network that every engine of this machine runs as graft's own executor does.
pub(in crate::cli) fn publish(name: &ModelName, network: &Network, session: &ImportSession<'_>) -> Result<u32> {
    let store = session.store()?;
    store.refuse_built_in(name)?;
    let golden = golden::answers(network, cards())?;
    let file = onnx::export(network, &onnx::ExportOptions::default())?;
    for kind in engine::available() {
        let mut engine = engine::open(kind, &file, session.context.engine.threads)?;
        verify(engine.as_mut(), network, &golden, session)?;
    }
    let content = ModelContent::Native(Box::new(network.clone()));
    let artifacts = Artifacts { content: &content, golden: &golden, report: None, pictures: &[], quantized: None };
    let version = session.publish(&store, name, &artifacts)?;
    let counts = network.graph.counts();
    let what = match &network.spec.labels {
        Some(labels) => format!("{} classes", labels.len()),
        None => format!("a backbone with output {}", network.graph.shape(network.graph.output())),
    };
    session.line(format_args!(
        "stored `{name}` version {version}: {}, {what}, {:.2} M parameters, {:.2} GMAC an image",
        network.spec.architecture,
        counts.parameters as f64 / 1e6,
        counts.macs as f64 / 1e9,
    ))?;
    tell_live(&store, name, version, session)?;
    Ok(version)
}

/// Says that another version goes on answering, if one does.
pub(super) fn tell_live(store: &ModelStore, name: &ModelName, version: u32, session: &ImportSession<'_>) -> Result<()> {
    let live = store.resolve(name, None)?;
    if live != version {
        session.line(format_args!(
            "version {live} goes on answering; `graft models live {name} {version}` lets the new one answer"
        ))?;
    }
    Ok(())
}

/// The names and contents of synthetic photographs.
pub(super) fn cards() -> Vec<(String, Vec<u8>)> {
    (0..CARDS).map(|seed| (format!("{seed}.png"), test_card(seed, 320, 240))).collect()
}

/// The engine gives the executor's answers.
fn verify(engine: &mut dyn Engine, network: &Network, golden: &[Golden], session: &ImportSession<'_>) -> Result<()> {
    let kind = engine.kind();
    let mut largest = 0.0_f64;
    for golden in golden {
        let input = network.spec.preprocess.apply(&golden.bytes, &Limits::default())?;
        let outputs = engine.run(&ImageBatch::from(input))?;
        largest = largest.max(relative_difference(&golden.logits, outputs.first()?.data()));
    }
    if largest > TOLERANCE {
        bail!("{kind} differs from graft's own executor by {largest:.1e} of the largest logit; nothing was stored");
    }
    session.line(format_args!("{kind}: agrees with graft's own executor to {largest:.1e} of the largest logit"))?;
    Ok(())
}
