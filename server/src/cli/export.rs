//! `graft export`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use onnx::ExportOptions;
use onnx::export::{BatchNormalization, PixelNormalization, WeightPrecision};
use server::store::{ModelContent, ModelName, OpaqueModel};
use trainer::quantize::VariantKind;

use super::{CommandContext, destination, output};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The model's name
    #[arg(long, env = "GRAFT_MODEL")]
    model: ModelName,

    /// Which version [default: the live one]
    #[arg(long, env = "GRAFT_VERSION", value_name = "N")]
    version: Option<u32>,

    /// The file to write
    #[arg(long, env = "GRAFT_OUT", value_name = "FILE")]
    out: PathBuf,

    /// The stored variant of the version that is written as it is: `f32`, or `fp16` or `int8` where `graft quantize` has made them
    #[arg(long, env = "GRAFT_VARIANT", value_name = "NAME", conflicts_with_all = ["opset", "batch_norm", "weights", "normalization"])]
    variant: Option<VariantKind>,

    /// The ONNX operator set, 13 to 20
    #[arg(long, env = "GRAFT_OPSET", default_value_t = ExportOptions::default().opset, value_name = "N")]
    opset: i64,

    /// What becomes of batch normalisation behind a convolution
    #[arg(long, env = "GRAFT_BATCH_NORM", value_enum, default_value_t = BatchNorm::Fold)]
    batch_norm: BatchNorm,

    /// How weights are stored; half precision halves the file and rounds each weight to 11 bits
    #[arg(long, env = "GRAFT_WEIGHTS", value_enum, default_value_t = Weights::F32)]
    weights: Weights,

    /// Where pixels are normalised: in the network, which then takes 0..255, or by the program that calls it
    #[arg(long, env = "GRAFT_NORMALIZATION", value_enum, default_value_t = Normalization::Inside)]
    normalization: Normalization,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weights {
    /// 32 bits a number.
    #[value(name = "single")]
    F32,
    /// 16 bits a number, converted when the file is loaded.
    Half,
    /// Matrices and kernels in 8 bits a number with a scale for each output, multiplied when the file is loaded.
    Int8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Normalization {
    /// By the network's first node.
    Inside,
    /// Before the network.
    Outside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BatchNorm {
    /// Multiplied into the convolution's weights.
    Fold,
    /// Kept as it is, so that the file can be trained further.
    Keep,
}

impl ExportArgs {
    fn options(&self) -> ExportOptions {
        ExportOptions {
            opset: self.opset,
            batch_norm: match self.batch_norm {
                BatchNorm::Fold => BatchNormalization::Fold,
                BatchNorm::Keep => BatchNormalization::Keep,
            },
            weights: match self.weights {
                Weights::F32 => WeightPrecision::F32,
                Weights::Half => WeightPrecision::Half,
                Weights::Int8 => WeightPrecision::Int8,
            },
            normalization: match self.normalization {
                Normalization::Inside => PixelNormalization::Inside,
                Normalization::Outside => PixelNormalization::Outside,
            },
        }
    }
}

pub(super) fn run(args: &ExportArgs, context: &CommandContext) -> Result<()> {
    let store = context.store()?;
    let version = store.resolve(&args.model, args.version)?;
    let file = match args.variant {
        Some(variant) => store.variant(&args.model, version, variant)?,
        None => exported(args, store.content(&args.model, version)?)?,
    };
    destination::write(&args.out, &file).with_context(|| args.out.display().to_string())?;
    output::line(format_args!(
        "wrote {}: `{}` version {version}, opset {}, {:.1} MB",
        args.out.display(),
        args.model,
        onnx::ModelFile::decode(file.clone())?.opset(),
        file.len() as f64 / 1e6,
    ))?;
    Ok(())
}

/// The file as the options say.
fn exported(args: &ExportArgs, content: ModelContent) -> Result<Vec<u8>> {
    let options = args.options();
    Ok(match content {
        ModelContent::Native(network) => onnx::export(&network, &options)?,
        ModelContent::Opaque(file) if options == ExportOptions::default() => file,
        ModelContent::Opaque(_) => return Err(OpaqueModel(args.model.clone()).into()),
    })
}
