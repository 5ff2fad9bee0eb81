//! `graft classify`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use models::preprocess::{ImageBatch, Limits};
use models::scores::{softmax, top_k};
use serde_json::json;
use server::store::{ModelName, ModelStore};

use super::{CommandContext, output};

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

    /// How to print the result
    #[arg(long, env = "GRAFT_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object an image and line.
    Json,
}

pub(super) fn run(args: &ClassifyArgs, context: &CommandContext) -> Result<()> {
    let store = ModelStore::open(&context.data.models_dir())?;
    let version = store.resolve(&args.model, None)?;
    let model = store.read(&args.model, version)?;
    let Some(labels) = &model.spec.labels else {
        bail!("model `{}` is a headless backbone; graft a head onto it with `graft finetune` first", args.model);
    };
    let engine = context.select()?;
    let mut session = onnx::engine::open(engine.kind, &model.onnx, engine.threads)?;
    for path in &args.images {
        let named = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(named)?;
        let input = model.spec.preprocess.apply(&bytes, &Limits::default()).with_context(named)?;
        let outputs = session.run(&ImageBatch::stack(&[input])?)?;
        let scores = softmax(outputs.first()?.data(), 1.0);
        let best = top_k(&scores, args.top_k.get());
        let label = |class: usize| labels.get(class).unwrap_or_default();
        if args.format == Format::Json {
            let predictions: Vec<_> = best
                .iter()
                .map(|&class| json!({"label": label(class), "class": class, "score": scores[class]}))
                .collect();
            let result = json!({"file": named(), "model": args.model, "version": version, "predictions": predictions});
            output::line(format_args!("{result}"))?;
        } else {
            output::line(format_args!("{}", named()))?;
            for class in best {
                output::line(format_args!("  {:6.2} %  {}", 100.0 * scores[class], label(class)))?;
            }
        }
    }
    Ok(())
}
