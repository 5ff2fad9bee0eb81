//! `graft classify`.

mod format;
mod images;
mod overlays;
mod results;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use models::preprocess::PreparedImage;
use models::scores::ScoreKind;
use server::config::{LimitArgs, ProviderArgs};
use server::store::ModelName;
use trainer::evaluate::{ModelRunner, TestViews};
use trainer::events::{Event, Observer, Phase};

use super::model::{ModelArg, ModelSource};
use super::progress::Progress;
use super::{CommandContext, output};
use format::{Answers, Format};
use images::ImageArgs;
use overlays::Overlays;
use results::Results;

/// Answers every image that can be used and names the others. The exit code is 0 when all were answered, 3 when some could
/// not be used, and 1 when the model cannot be used at all.
#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// The model: the name of a stored one, or a file that graft has exported
    #[arg(long, env = "GRAFT_MODEL", value_name = "NAME|FILE")]
    model: ModelArg,

    #[command(flatten)]
    images: ImageArgs,

    /// How many classes to show for each image
    #[arg(long, env = "GRAFT_TOP_K", default_value = "5", value_name = "K")]
    top_k: NonZeroUsize,

    /// The score from which on a class counts as present, for a model whose classes do not exclude each other [default: that of
    /// each class which the model was trained with, or 0.5]
    #[arg(long, env = "GRAFT_THRESHOLD", value_name = "SCORE", value_parser = parse_threshold)]
    threshold: Option<f32>,

    /// Views of each image whose answers are averaged
    #[arg(long, env = "GRAFT_TTA", value_enum, default_value_t)]
    tta: TestViews,

    /// How to print the result
    #[arg(long, visible_alias = "output", env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write the result to this file, as `json` or `csv`. What is in it already is not classified again: the same command goes
    /// on where it was interrupted
    #[arg(long, env = "GRAFT_OUT", value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write a picture for each image into this folder that shows where the model sees its best class (class activation map)
    #[arg(long, env = "GRAFT_EXPLAIN", value_name = "FOLDER")]
    explain: Option<PathBuf>,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    provider: ProviderArgs,
}

/// The exit code when some images could not be used.
const SOME_FAILED: u8 = 3;
/// Images prepared at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;

fn parse_threshold(text: &str) -> Result<f32, String> {
    let threshold = text.parse::<f32>().ok().filter(|threshold| (0.0..=1.0).contains(threshold));
    threshold.ok_or_else(|| format!("`{text}` is no score between 0 and 1"))
}

pub(super) fn run(args: &ClassifyArgs, context: &CommandContext) -> Result<ExitCode> {
    let model = args.model.open(None, context)?;
    if model.spec.labels.is_none() {
        bail!("model `{}` is a headless backbone; graft a head onto it with `graft finetune` first", model.name);
    }
    let answers = args.answers(&model)?;
    let mut results = Results::open(args.out.as_deref(), &answers)?;
    let images = args.images.list()?;
    let all = images.len();
    let images: Vec<PathBuf> = images.into_iter().filter(|image| !results.has(image)).collect();
    if images.len() < all {
        output::note(format_args!("{} of {all} images are answered already", all - images.len()));
    }
    let engine = context.select_with(&args.provider)?;
    let runner = ModelRunner::open(&model.onnx, &model.spec, engine.spec())?;
    let mut runner = runner.with_views(args.tta);
    let limits = args.limits.limits();
    let overlays = args.explain.as_deref().map(|folder| Overlays::open(folder, &model, limits));
    let mut overlays = overlays.transpose()?;
    let prepare =
        |path: &PathBuf| -> Result<PreparedImage> { Ok(model.spec.preprocess.apply(&std::fs::read(path)?, &limits)?) };
    let mut progress = (images.len() > CHUNK).then(Progress::on_stderr);
    if let Some(progress) = &mut progress {
        progress.event(Event::Phase { phase: Phase::Evaluation });
    }
    let (mut failures, mut done) = (0, 0);
    for chunk in images.chunks(CHUNK) {
        let rows: Vec<Result<Vec<f32>>> = runner.logits(chunk, prepare)?;
        for (path, logits) in chunk.iter().zip(rows) {
            failures += usize::from(logits.is_err());
            results.add(path, &logits)?;
            if let (Some(overlays), Ok(logits)) = (&mut overlays, &logits) {
                overlays.add(path, logits)?;
            }
        }
        results.flush()?;
        done += chunk.len();
        if let Some(progress) = &mut progress {
            let (done, total) = (done as u64, images.len() as u64);
            progress.event(Event::Progress { phase: Phase::Evaluation, done, total });
        }
    }
    if let Some(progress) = &progress {
        progress.finish();
    }
    if failures == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output::error(&anyhow::anyhow!("{failures} of {} image(s) could not be used", images.len()));
    Ok(ExitCode::from(SOME_FAILED))
}

impl ClassifyArgs {
    /// These image files by a model of the store, and the best class of each.
    pub(super) fn of(model: ModelName, images: Vec<PathBuf>, provider: ProviderArgs) -> Self {
        Self {
            model: ModelArg::Stored(model),
            images: ImageArgs::of(images),
            top_k: NonZeroUsize::MIN,
            threshold: None,
            tta: TestViews::default(),
            format: Format::Text,
            out: None,
            explain: None,
            limits: LimitArgs::default(),
            provider,
        }
    }

    fn answers<'a>(&self, model: &'a ModelSource) -> Result<Answers<'a>> {
        if self.threshold.is_some() && model.spec.scores.kind != ScoreKind::Sigmoid {
            bail!("the classes of `{}` exclude each other; leave out --threshold", model.name);
        }
        let labels = model.spec.labels.as_ref().context("a classifier has classes")?;
        let top_k = self.top_k.get().min(labels.len());
        Ok(Answers { model, labels, format: self.format, top_k, threshold: self.threshold })
    }
}
