//! `graft classify`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use models::preprocess::{ImageBatch, Limits};
use models::scores::{ScoreKind, top_k};
use onnx::Engine;
use serde_json::{Value, json};
use server::config::LimitArgs;
use server::failure::chain;
use server::store::{ModelName, ModelStore, StoredModel};

use super::{CommandContext, output};

/// Answers every image that can be used and names the others. The exit code is 0 when all were answered, 3 when some could
/// not be used, and 1 when the model cannot be used at all.
#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// The model's name
    #[arg(long, env = "GRAFT_MODEL")]
    model: ModelName,

    /// The image files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    /// How many classes to show for each image
    #[arg(long, env = "GRAFT_TOP_K", default_value = "5", value_name = "K")]
    top_k: NonZeroUsize,

    /// The score from which on a class counts as present, for a model whose classes do not exclude each other [default: 0.5]
    #[arg(long, env = "GRAFT_THRESHOLD", value_name = "SCORE", value_parser = parse_threshold)]
    threshold: Option<f32>,

    /// How to print the result
    #[arg(long, env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object an image and line.
    Json,
}

/// The exit code when some images could not be used.
const SOME_FAILED: u8 = 3;

fn parse_threshold(text: &str) -> Result<f32, String> {
    let threshold = text.parse::<f32>().ok().filter(|threshold| (0.0..=1.0).contains(threshold));
    threshold.ok_or_else(|| format!("`{text}` is no score between 0 and 1"))
}

pub(super) fn run(args: &ClassifyArgs, context: &CommandContext) -> Result<ExitCode> {
    let store = ModelStore::open(&context.data.models_dir())?;
    let version = store.resolve(&args.model, None)?;
    let model = store.read(&args.model, version)?;
    if model.spec.labels.is_none() {
        bail!("model `{}` is a headless backbone; graft a head onto it with `graft finetune` first", args.model);
    }
    let printer = Printer::new(&model, args)?;
    let engine = context.select()?;
    let mut session = onnx::engine::open(engine.kind, &model.onnx, engine.threads)?;
    let limits = args.limits.limits();
    let mut failures = 0;
    for path in &args.images {
        match logits(path, &model, (session.as_mut(), &limits)) {
            Ok(logits) => printer.answer(path, &logits)?,
            Err(error) => {
                failures += 1;
                printer.failure(path, &error)?;
            }
        }
    }
    if failures == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output::error(&anyhow::anyhow!("{failures} of {} image(s) could not be used", args.images.len()));
    Ok(ExitCode::from(SOME_FAILED))
}

fn logits(path: &Path, model: &StoredModel, (engine, limits): (&mut dyn Engine, &Limits)) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    let input = model.spec.preprocess.apply(&bytes, limits)?;
    Ok(engine.run(&ImageBatch::stack(&[input])?)?.first()?.data().to_vec())
}

/// Prints the answers.
struct Printer<'a> {
    model: &'a StoredModel,
    format: Format,
    top_k: usize,
    kind: ScoreKind,
    /// For classes that do not exclude each other.
    threshold: Option<f32>,
}

impl<'a> Printer<'a> {
    fn new(model: &'a StoredModel, args: &ClassifyArgs) -> Result<Self> {
        let kind = model.spec.scores.kind;
        let threshold = match (kind, args.threshold) {
            (ScoreKind::Sigmoid, asked) => Some(asked.unwrap_or(ScoreKind::THRESHOLD)),
            (_, None) => None,
            (_, Some(_)) => bail!("the classes of `{}` exclude each other; leave out --threshold", args.model),
        };
        Ok(Self { model, format: args.format, top_k: args.top_k.get(), kind, threshold })
    }

    fn answer(&self, path: &Path, logits: &[f32]) -> Result<()> {
        let scores = self.kind.scores(logits);
        let best = top_k(&scores, self.top_k);
        let label =
            |class: usize| self.model.spec.labels.as_ref().and_then(|labels| labels.get(class)).unwrap_or_default();
        let present = |class: usize| self.threshold.map(|threshold| scores[class] >= threshold);
        if self.format == Format::Json {
            let prediction = |&class: &usize| {
                let mut prediction = json!({"label": label(class), "class": class, "score": scores[class]});
                if let Some(present) = present(class) {
                    prediction["present"] = json!(present);
                }
                prediction
            };
            return self.line(path, "predictions", best.iter().map(prediction).collect());
        }
        output::line(format_args!("{}", path.display()))?;
        for class in best {
            let absent = if present(class) == Some(false) { "  (below the threshold)" } else { "" };
            output::line(format_args!("  {:6.2} %  {}{absent}", 100.0 * scores[class], label(class)))?;
        }
        Ok(())
    }

    fn failure(&self, path: &Path, error: &anyhow::Error) -> Result<()> {
        let reason = chain(error.as_ref());
        match self.format {
            Format::Json => self.line(path, "error", json!(reason)),
            Format::Text => {
                output::error(&anyhow::anyhow!("{}: {reason}", path.display()));
                Ok(())
            }
        }
    }

    /// One JSON object: the file, the model, and what came of it.
    fn line(&self, path: &Path, key: &str, value: Value) -> Result<()> {
        let StoredModel { name, version, .. } = self.model;
        let mut object =
            json!({"file": path.display().to_string(), "model": name, "version": version, "scores": self.kind});
        if let Some(threshold) = self.threshold {
            object["threshold"] = json!(threshold);
        }
        object[key] = value;
        Ok(output::line(format_args!("{object}"))?)
    }
}
