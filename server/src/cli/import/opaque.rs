//! A file that graft cannot parse: wrapped, tried on the engines, and stored as it is.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use models::preprocess::{ImageBatch, Limits};
use models::spec::ScoreSpec;
use models::{Labels, ModelSpec};
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::signature::OutputEvidence;
use onnx::{Batching, Engine, EngineKind, ImportError, ModelFile, OpaqueOptions, Precision, engine};
use server::failure::chain;
use server::runtime::SelectedEngine;
use server::store::{Artifacts, Golden, ModelContent};

use super::facts::FileFacts;
use super::labels::{self, NamedLabels};
use super::preparation::Preparation;
use super::publish::{cards, tell_live};
use super::session::ImportSession;
use super::trial::PreparationTrials;
use super::{ImportArgs, deadline};

/// A foreign file with what is known of it.
pub(super) struct OpaqueImport<'a> {
    args: &'a ImportArgs,
    original: ModelFile,
    /// With its scores as the only output.
    file: ModelFile,
    output: OutputEvidence,
    labels: Option<NamedLabels>,
    input: [u32; 2],
    preparation: Preparation,
}

/// What a trial run has told.
struct Measured {
    /// Numbers an image.
    width: usize,
    scores: ScoreSpec,
    labels: Labels,
}

/// The file as it will be stored, and what it answers.
struct StoredForm {
    bytes: Vec<u8>,
    spec: ModelSpec,
    golden: Vec<Golden>,
}

impl<'a> OpaqueImport<'a> {
    pub(super) fn new(file: &ModelFile, facts: FileFacts, args: &'a ImportArgs) -> Result<Self> {
        let file = &file.for_size(args.size())?;
        let &[_, height, width] = file.image_shape()?.dims() else { bail!("the network takes no images") };
        let input = [u32::try_from(height)?, u32::try_from(width)?];
        let preparation = args.preparation.choose(facts.known.as_ref(), input)?;
        Ok(Self {
            args,
            original: file.clone(),
            file: file.scored(&facts.signature)?,
            output: facts.signature.output().clone(),
            labels: facts.labels,
            input,
            preparation,
        })
    }

    /// How long a trial may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.args.trial_seconds)
    }

    pub(super) fn publish(
        self,
        user_labels: Option<NamedLabels>,
        selected: &SelectedEngine,
        session: &ImportSession<'_>,
    ) -> Result<u32> {
        let (args, patience) = (self.args, self.patience());
        let StoredForm { bytes, spec, golden } = match self.original.spec()? {
            Some(_) if user_labels.is_some() || args.verify.is_some() => {
                bail!(
                    "graft wrote the file, and it names its classes and its preparation itself; leave out --labels and --verify"
                );
            }
            Some(spec) => self.unwrapped(spec, selected, session)?,
            None => self.form(user_labels, selected, session)?,
        };
        for kind in engine::available().into_iter().filter(|kind| *kind != selected.kind) {
            let form = StoredForm { bytes: bytes.clone(), spec: spec.clone(), golden: golden.clone() };
            let threads = session.context.engine.threads;
            let what = format!("the comparison with {kind}");
            let result =
                deadline::within(patience, &what, |text| session.line(text), move || compared(kind, &form, threads));
            let result = result.unwrap_or_else(|error| format!("not compared: {error}"));
            session.line(format_args!("{kind}: {result}"))?;
        }
        let megabytes = bytes.len() as f64 / 1e6;
        let artifacts = Artifacts {
            content: &ModelContent::Opaque(bytes),
            golden: &golden,
            report: None,
            pictures: &[],
            quantized: None,
        };
        let store = session.store()?;
        let version = session.publish(&store, &args.name, &artifacts)?;
        let (name, architecture, classes) =
            (&args.name, &spec.architecture, spec.labels.as_ref().map_or(0, Labels::len));
        session.line(format_args!(
            "stored `{name}` version {version}: {architecture}, {classes} classes, {megabytes:.1} MB, as it is"
        ))?;
        tell_live(&store, name, version, session)?;
        Ok(version)
    }

    /// A foreign file, between graft's nodes.
    fn form(
        mut self,
        user_labels: Option<NamedLabels>,
        selected: &SelectedEngine,
        session: &ImportSession<'_>,
    ) -> Result<StoredForm> {
        let measured = self.measure(user_labels, selected, session)?;
        if let Some(folder) = &self.args.verify {
            let file = |preparation: &Preparation| self.wrapped(preparation, Batching::Declared, &measured);
            let trials = PreparationTrials { folder, chosen: &self.preparation, size: self.input, selected };
            let fits = trials.best(&file)?;
            if self.args.preparation.is_open() {
                self.preparation = fits;
            }
        }
        session.line(format_args!("images are prepared {}", self.preparation))?;
        self.batched(&measured, selected, session)
    }

    /// A file that graft has exported: it has graft's nodes and metadata already.
    fn unwrapped(&self, spec: ModelSpec, selected: &SelectedEngine, session: &ImportSession<'_>) -> Result<StoredForm> {
        session.line(format_args!("images are prepared {}", self.preparation))?;
        let bytes = self.original.encode();
        let golden = golden(&bytes, &spec, selected)?;
        if spec.labels.is_none() {
            bail!(
                "graft wrote the file as features of an opaque model, which have no classes; import the model that it is from"
            );
        }
        Ok(StoredForm { bytes, spec, golden })
    }

    /// Runs the file once, and resolves what depends on how many numbers come out for an image.
    fn measure(
        &self,
        user_labels: Option<NamedLabels>,
        selected: &SelectedEngine,
        session: &ImportSession<'_>,
    ) -> Result<Measured> {
        let spec = self.spec(&self.preparation);
        let options = OpaqueOptions {
            spec: &spec,
            channel_order: self.preparation.order,
            batch: Batching::Declared,
            width: None,
        };
        let bytes = self.file.wrap_opaque(&options)?;
        let [height, width] = self.input.map(|size| size as usize);
        let (kind, threads) = (selected.kind, selected.threads);
        let answer = deadline::within(
            self.patience(),
            &format!("a trial run on {kind}"),
            |text| session.line(text),
            move || engine::open(kind, &bytes, threads)?.run(&ImageBatch::noise(1, [3, height, width], 0)),
        )?;
        let advice = match kind {
            EngineKind::Tract => "; ONNX Runtime knows more operators: `graft runtime install`",
            EngineKind::Ort => "",
        };
        let outputs = answer.with_context(|| format!("the serving engine does not run this network{advice}"))?;
        let width = outputs.first()?.data().len();
        let output = self.output.measured(width).map_err(ImportError::from)?;
        let labels = user_labels.or(self.labels.clone());
        let output = match output.kind() {
            Some(_) => output,
            None => output.named(labels.as_ref().map(|named| named.labels.len())).map_err(ImportError::from)?,
        };
        let kind = output.kind().with_context(|| format!("{output}: nothing says how its numbers become scores"))?;
        Ok(Measured { width, scores: output.spec(kind), labels: labels::resolve(labels, None, width.max(2))? })
    }

    /// The file as it will be stored, and what it answers: for any number of images if each is answered as it is alone.
    fn batched(
        &self,
        measured: &Measured,
        selected: &SelectedEngine,
        session: &ImportSession<'_>,
    ) -> Result<StoredForm> {
        let fixed = self.file.fixed_batch()?;
        let single = if fixed.is_some() { Batching::Declared } else { Batching::One };
        let (alone, spec) = self.wrapped(&self.preparation, single, measured)?;
        let golden = golden(&alone, &spec, selected)?;
        let (dynamic, _) = self.wrapped(&self.preparation, Batching::Dynamic, measured)?;
        let together = || -> Result<f64> {
            let inputs = golden.iter().map(|golden| spec.preprocess.apply(&golden.bytes, &Limits::default()));
            let batch = ImageBatch::stack(&inputs.collect::<Result<Vec<_>, _>>()?)?;
            let outputs = engine::open(selected.kind, &dynamic, selected.threads)?.run(&batch)?;
            let singles: Vec<f32> = golden.iter().flat_map(|golden| golden.logits.clone()).collect();
            Ok(relative_difference(&singles, outputs.first()?.data()))
        };
        match (together(), fixed) {
            // The same sums in another order differ by less.
            (Ok(difference), _) if difference <= self.file.precision().tolerance() => {
                return Ok(StoredForm { bytes: dynamic, spec, golden });
            }
            (_, Some(fixed)) => {
                session.line(format_args!("the network takes {fixed} image(s) at a time and no other number"))?;
            }
            (Err(_), None) => session.line(format_args!(
                "the network runs on one image at a time and on no more, although its input declares any number"
            ))?,
            (Ok(_), None) => session.line(format_args!(
                "the network answers an image otherwise when others are beside it, as one does that quantises by the \
                 contrast of a whole batch, so it is given one at a time"
            ))?,
        }
        Ok(StoredForm { bytes: alone, spec, golden })
    }

    fn wrapped(&self, preparation: &Preparation, batch: Batching, measured: &Measured) -> Result<(Vec<u8>, ModelSpec)> {
        let (labels, scores) = (Some(measured.labels.clone()), measured.scores.clone());
        let spec = ModelSpec { labels, scores, ..self.spec(preparation) };
        let options =
            OpaqueOptions { spec: &spec, channel_order: preparation.order, batch, width: Some(measured.width) };
        Ok((self.file.wrap_opaque(&options)?, spec))
    }

    fn spec(&self, preparation: &Preparation) -> ModelSpec {
        let producer = Some(self.file.producer()).filter(|name| !name.is_empty());
        ModelSpec::new(producer.unwrap_or("unnamed network".to_owned()), None, preparation.preprocess.clone())
    }
}

/// What the serving engine answers to the synthetic photographs. There is no executor to ask.
fn golden(file: &[u8], spec: &ModelSpec, selected: &SelectedEngine) -> Result<Vec<Golden>> {
    let mut engine = engine::open(selected.kind, file, selected.threads)?;
    let precision = ModelFile::decode(file.to_vec())?.precision();
    let golden = cards().into_iter().map(|(file_name, bytes)| {
        let logits = logits(engine.as_mut(), spec, &bytes)?;
        let largest = logits.iter().fold(0.0_f64, |largest, &logit| largest.max(f64::from(logit).abs()));
        // Another engine or version of it may round such numbers elsewhere.
        let noise = if precision == Precision::F32 { 0.0 } else { precision.tolerance() * largest };
        Ok(Golden { file_name, bytes, logits, noise })
    });
    golden.collect()
}

fn logits(engine: &mut dyn Engine, spec: &ModelSpec, image: &[u8]) -> Result<Vec<f32>> {
    let input = spec.preprocess.apply(image, &Limits::default())?;
    Ok(engine.run(&ImageBatch::from(input))?.first()?.data().to_vec())
}

/// What another engine makes of it, as half a sentence.
fn compared(kind: EngineKind, form: &StoredForm, threads: NonZeroUsize) -> String {
    let StoredForm { bytes, spec, golden } = form;
    let tolerance = ModelFile::decode(bytes.clone()).map_or(TOLERANCE, |file| file.precision().tolerance());
    let largest = || -> Result<f64> {
        let mut engine = engine::open(kind, bytes, threads)?;
        let mut largest = 0.0_f64;
        for golden in golden {
            largest = largest.max(relative_difference(&golden.logits, &logits(engine.as_mut(), spec, &golden.bytes)?));
        }
        Ok(largest)
    };
    match largest() {
        Ok(difference) if difference <= tolerance => format!("agrees to {difference:.1e} of the largest logit"),
        Ok(difference) => format!("differs by {difference:.1e} of the largest logit; do not serve it there"),
        Err(error) => format!("cannot run it ({})", chain(error.as_ref())),
    }
}
