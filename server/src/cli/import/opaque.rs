//! A file that graft cannot parse: wrapped, tried on the engines, and stored as it is.

use anyhow::{Context, Result, bail};
use models::preprocess::{ImageBatch, Limits};
use models::{Labels, ModelSpec};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{Batching, Engine, EngineKind, ModelFile, OpaqueOptions, engine};
use server::failure::chain;
use server::runtime::SelectedEngine;
use server::store::{Artifacts, Golden, ModelContent, ModelStore};

use super::network::{PreparationSource, numbered};
use super::preparation::{Preparation, PreparationArgs};
use super::publish::cards;
use super::{ImportArgs, trial};
use crate::cli::{CommandContext, output};

/// A foreign file with what is known of it.
pub(super) struct OpaqueImport {
    file: ModelFile,
    labels: Option<Labels>,
    input: [u32; 2],
    preparation: Preparation,
}

impl OpaqueImport {
    pub(super) fn new(file: ModelFile, labels: Option<Labels>, args: &PreparationArgs) -> Result<Self> {
        let &[channels, height, width] = file.image_shape()?.dims() else { bail!("the network takes no images") };
        if channels != 3 {
            bail!("the network takes images of {channels} channel(s); graft serves networks for RGB images");
        }
        let input = [u32::try_from(height)?, u32::try_from(width)?];
        let conventions = file.conventions();
        let known = conventions.preset.map(|preset| PreparationSource::Preset {
            preset,
            order: conventions.channel_order,
            origin: format!("by the file's metadata ({})", conventions.keys.join(", ")),
        });
        let preparation = args.choose(known.as_ref(), input)?;
        Ok(Self { file, labels: labels.or(conventions.labels), input, preparation })
    }

    pub(super) fn publish(
        mut self,
        args: &ImportArgs,
        selected: &SelectedEngine,
        context: &CommandContext,
    ) -> Result<()> {
        let classes = self.classes(selected)?;
        let labels = self.labels.take().unwrap_or_else(|| numbered(classes));
        if labels.len() != classes {
            bail!("there are {} labels, but the network has {classes} classes", labels.len());
        }
        self.labels = Some(labels);
        if let Some(folder) = &args.verify {
            let file = |preparation: &Preparation| self.wrapped(preparation, Batching::Declared);
            let fits = trial::best(folder, (&self.preparation, self.input), selected, &file)?;
            if args.preparation.is_open() {
                self.preparation = fits;
            }
        }
        output::line(format_args!("images are prepared {}", self.preparation))?;
        let (bytes, spec, golden) = self.batched(selected)?;
        for kind in engine::available().into_iter().filter(|kind| *kind != selected.kind) {
            output::line(format_args!("{kind}: {}", compared(kind, (&bytes, &spec), &golden, context)))?;
        }
        let megabytes = bytes.len() as f64 / 1e6;
        let artifacts = Artifacts { content: &ModelContent::Opaque(bytes), golden: &golden, report: None };
        let version = ModelStore::open(&context.data.models_dir())?.publish(&args.name, &artifacts)?;
        let (name, architecture) = (&args.name, &spec.architecture);
        output::line(format_args!(
            "stored `{name}` version {version}: {architecture}, {classes} classes, {:.1} MB, as it is",
            megabytes
        ))?;
        Ok(())
    }

    /// How many numbers come out for an image.
    fn classes(&self, selected: &SelectedEngine) -> Result<usize> {
        let (bytes, _) = self.wrapped(&self.preparation, Batching::Declared)?;
        let opened = engine::open(selected.kind, &bytes, selected.threads);
        let advice = match selected.kind {
            EngineKind::Tract => "; ONNX Runtime knows more operators: `graft runtime install`",
            EngineKind::Ort => "",
        };
        let [height, width] = self.input.map(|size| size as usize);
        let answer = opened.and_then(|mut engine| engine.run(&ImageBatch::noise(1, [3, height, width], 0)));
        let outputs = answer.with_context(|| format!("the serving engine does not run this network{advice}"))?;
        Ok(outputs.first()?.data().len())
    }

    /// The file as it will be stored, and what it answers: for any number of images if each is answered as it is alone.
    fn batched(&self, selected: &SelectedEngine) -> Result<(Vec<u8>, ModelSpec, Vec<Golden>)> {
        let fixed = self.file.fixed_batch()?;
        let single = if fixed.is_some() { Batching::Declared } else { Batching::One };
        let (alone, spec) = self.wrapped(&self.preparation, single)?;
        let golden = golden(&alone, &spec, selected)?;
        let (dynamic, _) = self.wrapped(&self.preparation, Batching::Dynamic)?;
        let together = || -> Result<f64> {
            let inputs = golden.iter().map(|golden| spec.preprocess.apply(&golden.bytes, &Limits::default()));
            let batch = ImageBatch::stack(&inputs.collect::<Result<Vec<_>, _>>()?)?;
            let outputs = engine::open(selected.kind, &dynamic, selected.threads)?.run(&batch)?;
            let singles: Vec<f32> = golden.iter().flat_map(|golden| golden.logits.clone()).collect();
            Ok(relative_difference(&singles, outputs.first()?.data()))
        };
        // The same sums in another order differ by less.
        if together().is_ok_and(|difference| difference <= TOLERANCE) {
            return Ok((dynamic, spec, golden));
        }
        match fixed {
            Some(fixed) => {
                output::line(format_args!("the network takes {fixed} image(s) at a time and no other number"))?;
            }
            None => output::line(format_args!(
                "the network answers an image otherwise when others are beside it, as one does that quantises by the \
                 contrast of a whole batch, so it is given one at a time"
            ))?,
        }
        Ok((alone, spec, golden))
    }

    fn wrapped(&self, preparation: &Preparation, batch: Batching) -> Result<(Vec<u8>, ModelSpec)> {
        let unnamed = || Some(self.file.producer()).filter(|name| !name.is_empty());
        let spec = ModelSpec {
            architecture: unnamed().unwrap_or("unnamed network".to_owned()),
            labels: self.labels.clone(),
            preprocess: preparation.preprocess.clone(),
            training: None,
        };
        let options = OpaqueOptions { spec: &spec, channel_order: preparation.order, batch };
        Ok((self.file.wrap_opaque(&options)?, spec))
    }
}

/// What the serving engine answers to the synthetic photographs. There is no executor to ask.
fn golden(file: &[u8], spec: &ModelSpec, selected: &SelectedEngine) -> Result<Vec<Golden>> {
    let mut engine = engine::open(selected.kind, file, selected.threads)?;
    let golden = cards().into_iter().map(|(file_name, bytes)| {
        let logits = logits(engine.as_mut(), spec, &bytes)?;
        Ok(Golden { file_name, bytes, logits, noise: 0.0 })
    });
    golden.collect()
}

fn logits(engine: &mut dyn Engine, spec: &ModelSpec, image: &[u8]) -> Result<Vec<f32>> {
    let input = spec.preprocess.apply(image, &Limits::default())?;
    Ok(engine.run(&ImageBatch::stack(&[input])?)?.first()?.data().to_vec())
}

/// What another engine makes of it, as half a sentence.
fn compared(
    kind: EngineKind,
    (file, spec): (&[u8], &ModelSpec),
    golden: &[Golden],
    context: &CommandContext,
) -> String {
    let largest = || -> Result<f64> {
        let mut engine = engine::open(kind, file, context.engine.threads)?;
        let mut largest = 0.0_f64;
        for golden in golden {
            largest = largest.max(relative_difference(&golden.logits, &logits(engine.as_mut(), spec, &golden.bytes)?));
        }
        Ok(largest)
    };
    match largest() {
        Ok(difference) if difference <= TOLERANCE => format!("agrees to {difference:.1e} of the largest logit"),
        Ok(difference) => format!("differs by {difference:.1e} of the largest logit; do not serve it there"),
        Err(error) => format!("cannot run it ({})", chain(error.as_ref())),
    }
}
