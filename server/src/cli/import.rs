//! `graft import`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use models::ops::Normalize;
use models::preprocess::{Batch, Limits, test_card};
use models::{Labels, ModelSpec, Network, Preprocess};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{EngineKind, Imported, engine};
use server::store::{Artefacts, Golden, ModelName, ModelStore};
use trainer::golden;

use super::{Workplace, output};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The ONNX file: an image classifier, or a headless backbone to graft upon
    file: PathBuf,

    /// The name in the store
    #[arg(long, env = "GRAFT_NAME")]
    name: ModelName,

    /// The class names in the order of the outputs: one a line, or a JSON array [default: class 0, class 1, …]
    #[arg(long, env = "GRAFT_LABELS", value_name = "FILE")]
    labels: Option<PathBuf>,

    /// How the network was trained to see images; stored with the model, and not asked of files that graft wrote
    #[arg(long, env = "GRAFT_PREPROCESS", value_enum, default_value_t = Preset::Torchvision)]
    preprocess: Preset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// torchvision's ImageNet networks: shorter side to 8/7 of the input, centre crop, RGB, ImageNet mean and deviation.
    Torchvision,
}

/// How many synthetic images a model without pictures of its own must reproduce.
const CARDS: u64 = 3;

pub(super) fn run(args: &ImportArgs, place: &Workplace) -> Result<()> {
    let named = || args.file.display().to_string();
    let bytes = std::fs::read(&args.file).with_context(named)?;
    let imported = onnx::import(bytes).with_context(named)?;
    let labels = match &args.labels {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            Some(Labels::parse(&text).with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    let network = match imported.spec.clone() {
        Some(spec) => ours(imported, spec, labels)?,
        None => foreign(imported, labels, args.preprocess)?,
    };
    // Every engine of this machine is tried, whichever will serve.
    let _loaded = place.select()?;
    let cards = (0..CARDS).map(|seed| (format!("{seed}.png"), test_card(seed, 320, 240))).collect();
    let golden = golden::answers(&network, cards)?;
    for kind in engine::available() {
        verify(&network, &golden, kind, place)?;
    }
    let store = ModelStore::open(&place.data.models_dir())?;
    let version = store.publish(&args.name, &Artefacts { network: &network, golden: &golden, report: None })?;
    let counts = network.graph.counts();
    let what = match &network.spec.labels {
        Some(labels) => format!("{} classes", labels.len()),
        None => format!("a backbone with output {}", network.graph.shape(network.graph.output())),
    };
    output::line(format_args!(
        "stored `{}` version {version}: {}, {what}, {:.2} M parameters, {:.2} GMAC an image",
        args.name,
        network.spec.architecture,
        counts.parameters as f64 / 1e6,
        counts.macs as f64 / 1e9,
    ))?;
    Ok(())
}

/// A file that graft wrote says everything itself; only its class names may be replaced.
fn ours(imported: Imported, spec: ModelSpec, labels: Option<Labels>) -> Result<Network> {
    let labels = checked(&imported, labels.or_else(|| spec.labels.clone()))?;
    Ok(Network::new(imported.graph, &imported.params, ModelSpec { labels, ..spec })?)
}

/// A file of another program is told how its images are prepared; the normalisation becomes part of the network.
fn foreign(imported: Imported, labels: Option<Labels>, preset: Preset) -> Result<Network> {
    let (channels, height, width) = imported.graph.shape(imported.graph.input()).chw()?;
    if channels != 3 {
        bail!("the network takes images of {channels} channel(s); graft serves networks for RGB images");
    }
    let sides = (u32::try_from(height)?, u32::try_from(width)?);
    let preprocess = match preset {
        Preset::Torchvision => Preprocess::torchvision(sides.0, sides.1),
    };
    output::line(format_args!(
        "not written by graft, so its images are taken to be prepared as by torchvision ({height}x{width})"
    ))?;
    let labels = match imported.graph.classifier() {
        None if labels.is_some() => {
            bail!("the network has no classifier, so there is nothing to label; leave out --labels")
        }
        None => None,
        Some(_) => {
            let classes = imported.graph.shape(imported.graph.output()).len();
            let numbered = || Labels::new((0..classes).map(|class| format!("class {class}")).collect());
            checked(&imported, Some(labels.unwrap_or_else(numbered)))?
        }
    };
    let graph = imported.graph.normalized(&Normalize::for_bytes(&preprocess.mean, &preprocess.std))?;
    let unnamed = || "unnamed network".to_owned();
    let architecture = Some(imported.producer).filter(|name| !name.is_empty()).unwrap_or_else(unnamed);
    let spec = ModelSpec { architecture, labels, preprocess, training: None };
    Ok(Network::new(graph, &imported.params, spec)?)
}

/// As many labels as outputs.
fn checked(imported: &Imported, labels: Option<Labels>) -> Result<Option<Labels>> {
    let classes = imported.graph.shape(imported.graph.output()).len();
    match &labels {
        Some(labels) if labels.len() != classes => {
            bail!("there are {} labels, but the network has {classes} classes", labels.len())
        }
        _ => Ok(labels),
    }
}

/// The engine gives the executor's answers.
fn verify(network: &Network, golden: &[Golden], kind: EngineKind, place: &Workplace) -> Result<()> {
    let file = onnx::export(network, &onnx::ExportOptions::default())?;
    let mut engine = engine::open(kind, &file, place.engine.threads())?;
    let mut largest = 0.0_f64;
    for golden in golden {
        let input = network.spec.preprocess.apply(&golden.bytes, &Limits::default())?;
        let outputs = engine.run(&Batch::stack(&[input])?)?;
        largest = largest.max(relative_difference(&golden.logits, outputs.first()?.data()));
    }
    if largest > TOLERANCE {
        bail!("{kind} differs from graft's own executor by {largest:.1e} of the largest logit; nothing was stored");
    }
    output::line(format_args!("{kind}: agrees with graft's own executor to {largest:.1e} of the largest logit"))?;
    Ok(())
}
