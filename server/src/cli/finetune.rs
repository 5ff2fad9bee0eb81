//! `graft finetune`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;
use server::finetune::{self, FinetuneSpec};
use server::store::ModelName;
use trainer::data::{BadFilePolicy, DatasetSource};
use trainer::finetune::FinetuneOptions;

use super::images::DownloadArgs;
use super::progress::Progress;
use super::tuning::{Strategy, TuningArgs};
use super::{CommandContext, output};

#[derive(Debug, Args)]
pub(super) struct FinetuneArgs {
    /// The stored model to graft upon
    #[arg(long, env = "GRAFT_BASE", value_name = "MODEL")]
    base: ModelName,

    /// The images: a folder with one folder per class, a zip or tar archive of one, a CSV table, Oxford-17 or CIFAR-10; or
    /// the name of a published data set, `oxford17` or `cifar10`
    #[arg(long, env = "GRAFT_DATA", value_name = "PATH|NAME")]
    data: PathBuf,

    #[command(flatten)]
    downloads: DownloadArgs,

    /// How the classes are to be read from that folder
    #[arg(long, env = "GRAFT_KIND", value_enum, default_value_t = Kind::Auto)]
    kind: Kind,

    /// The name under which the result is stored
    #[arg(long, env = "GRAFT_NAME")]
    name: ModelName,

    /// How much of the base is trained
    #[arg(long, env = "GRAFT_STRATEGY", value_enum, default_value_t = Strategy::Head)]
    strategy: Strategy,

    /// Fixed looks at each image whose features are computed: plain, mirrored, then crops
    #[arg(long, env = "GRAFT_VIEWS", default_value_t = FinetuneOptions::default().views)]
    views: usize,

    #[command(flatten)]
    tuning: TuningArgs,

    /// Passes of the head over the features
    #[arg(long, env = "GRAFT_EPOCHS", default_value_t = FinetuneOptions::default().epochs)]
    epochs: usize,

    /// Images a step of the head
    #[arg(long, env = "GRAFT_BATCH_SIZE", default_value_t = FinetuneOptions::default().batch_size)]
    batch_size: usize,

    /// The head's first learning rate; it falls to zero along a cosine
    #[arg(long, env = "GRAFT_LEARNING_RATE", default_value_t = FinetuneOptions::default().learning_rate)]
    learning_rate: f64,

    /// L2 penalty on the head's weights while it is trained alone
    #[arg(long, env = "GRAFT_WEIGHT_DECAY", default_value_t = FinetuneOptions::default().weight_decay)]
    weight_decay: f64,

    /// The share of each target that is spread over all classes
    #[arg(long, env = "GRAFT_LABEL_SMOOTHING", default_value_t = FinetuneOptions::default().label_smoothing)]
    label_smoothing: f64,

    /// Decides the split and the order of the images
    #[arg(long, env = "GRAFT_SEED", default_value_t = FinetuneOptions::default().seed)]
    seed: u64,

    /// The share of each class that chooses the best epoch; with 0 the last epoch is kept
    #[arg(long, env = "GRAFT_VALIDATION", default_value_t = FinetuneOptions::default().validation)]
    validation: f64,

    /// The share of each class that measures the result
    #[arg(long, env = "GRAFT_TEST", default_value_t = FinetuneOptions::default().test)]
    test: f64,

    /// What to do with images that cannot be read
    #[arg(long, env = "GRAFT_BAD_FILES", value_enum, default_value_t = Bad::Refuse)]
    bad_files: Bad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Any of the others, told apart by what is there.
    Auto,
    /// A folder per class, or `train`, `val` and `test` that each have one.
    Folder,
    /// A table of paths and labels.
    Csv,
    /// `image_0001.jpg` to `image_1360.jpg`, 80 a class in order.
    Oxford17,
    /// `data_batch_1.bin` to `test_batch.bin`, or the same without `.bin`.
    Cifar10,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bad {
    /// End the run and name the file.
    Refuse,
    /// Go on without it, and say so.
    Skip,
}

/// How many of the hardest classes are shown.
const HARDEST: usize = 5;

pub(super) fn run(args: &FinetuneArgs, context: &CommandContext) -> Result<()> {
    let mut progress = Progress::new();
    let data = args.downloads.locate(&args.data, context, &mut progress)?;
    let spec = FinetuneSpec {
        base_model: args.base.clone(),
        dataset: source(args.kind, data),
        name: args.name.clone(),
        options: FinetuneOptions {
            strategy: args.strategy.into(),
            views: args.views,
            tuning: args.tuning.tuning(),
            epochs: args.epochs,
            batch_size: args.batch_size,
            learning_rate: args.learning_rate,
            weight_decay: args.weight_decay,
            label_smoothing: args.label_smoothing,
            seed: args.seed,
            validation: args.validation,
            test: args.test,
            bad_files: match args.bad_files {
                Bad::Refuse => BadFilePolicy::Refuse,
                Bad::Skip => BadFilePolicy::Skip,
            },
        },
    };
    let backends = context.backends()?;
    let (engine, kernels) = (&backends.engine, &backends.kernels);
    output::line(format_args!("engine {}: {}", engine.kind, engine.reason))?;
    if args.strategy != Strategy::Head {
        output::line(format_args!("kernels {}: {}", kernels.kernels, kernels.reason))?;
    }
    let published = finetune::run(&context.data, &spec, &backends, &mut progress);
    progress.finish();
    let published = published?;
    summarise(&published.report)?;
    output::line(format_args!("stored `{}` version {}", published.name, published.version))?;
    output::line(format_args!("try it:  graft classify --model {} PHOTO.jpg", published.name))?;
    Ok(())
}

fn source(kind: Kind, path: PathBuf) -> DatasetSource {
    match kind {
        Kind::Auto => DatasetSource::Auto { path },
        Kind::Folder => DatasetSource::Folder { path },
        Kind::Csv => DatasetSource::Csv { path },
        Kind::Oxford17 => DatasetSource::Oxford17 { path },
        Kind::Cifar10 => DatasetSource::Cifar10 { path },
    }
}

/// The result for people; everything is in the report.
fn summarise(report: &Value) -> Result<()> {
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
    let chosen = match number("/validation/images") {
        0.0 => "no validation images, last".to_owned(),
        _ => format!("validation {:.1} %, best", 100.0 * number("/validation/top1")),
    };
    output::line(format_args!(
        "test top-1 {:.1} %, top-5 {:.1} % of {} images; {chosen} epoch {}",
        100.0 * number("/test/top1"),
        100.0 * number("/test/top5"),
        number("/test/images"),
        number("/best_epoch"),
    ))?;
    output::line(format_args!(
        "{:.1} s: data {:.1}, features {:.1} ({} of {} images cached), training {:.1}, export {:.1}, parity {:.1}",
        number("/seconds/total"),
        number("/seconds/data"),
        number("/seconds/features"),
        number("/images/cached"),
        number("/images/train") + number("/images/validation") + number("/images/test"),
        number("/seconds/training"),
        number("/seconds/export"),
        number("/seconds/parity"),
    ))?;
    let labels = report["labels"].as_array().cloned().unwrap_or_default();
    let share = |class: &Value, key: &str| class[key].as_f64();
    let mut classes: Vec<_> = report["test"]["classes"].as_array().into_iter().flatten().zip(&labels).collect();
    classes.sort_by(|(a, _), (b, _)| share(a, "recall").unwrap_or(1.0).total_cmp(&share(b, "recall").unwrap_or(1.0)));
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let rows: Vec<[String; 3]> = classes
        .iter()
        .take(HARDEST)
        .map(|(class, label)| {
            let label = label.as_str().unwrap_or_default().to_owned();
            [label, percent(share(class, "precision")), percent(share(class, "recall"))]
        })
        .collect();
    Ok(output::table(["HARDEST CLASSES", "PRECISION", "RECALL"], &rows)?)
}
