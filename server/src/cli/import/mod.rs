//! `graft import`: ONNX files and files of weights into the store.

mod network;
mod opaque;
mod preparation;
mod publish;
pub(super) mod source;
mod trial;
pub(super) mod weights;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use models::Labels;
use onnx::ImportError;
use server::store::ModelName;

use super::{CommandContext, output};
pub(super) use network::{NetworkDraft, PreparationSource};
use opaque::OpaqueImport;
use preparation::PreparationArgs;
pub(super) use preparation::{Preparation, parse_size};
pub(super) use publish::publish;
use source::Source;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// An ONNX file (a classifier, or a headless backbone to graft upon), or a file of weights: safetensors, PyTorch's
    /// .pth, Keras' .h5
    file: PathBuf,

    /// The name in the store
    #[arg(long, env = "GRAFT_NAME")]
    name: ModelName,

    /// The class names in the order of the outputs: one a line, or a JSON array [default: those in the file, else
    /// class 0, class 1, …]
    #[arg(long, env = "GRAFT_LABELS", value_name = "FILE")]
    labels: Option<PathBuf>,

    /// The network that a file of weights is of; `graft arch list` lists them [default: the one that its tensors fit]
    #[arg(long, env = "GRAFT_ARCH", value_name = "NAME")]
    arch: Option<String>,

    /// Height and width of the images, as 224 or 224x320, where the file leaves them open [default: 224, or what the
    /// network was made for]
    #[arg(long, env = "GRAFT_SIZE", value_name = "PIXELS", value_parser = preparation::parse_size)]
    size: Option<[u32; 2]>,

    #[command(flatten)]
    preparation: PreparationArgs,

    /// A folder with a folder of images for each class: classify them under every preset and say which one fits. Without
    /// --preprocess the best is taken
    #[arg(long, env = "GRAFT_VERIFY", value_name = "DIR")]
    verify: Option<PathBuf>,
}

pub(super) fn run(args: &ImportArgs, context: &CommandContext) -> Result<()> {
    let named = || args.file.display().to_string();
    let labels = args.labels.as_ref().map(read_labels).transpose()?;
    let size = args.size.map(|[height, width]| [height as usize, width as usize]);
    // Every engine of this machine is tried, whichever will serve.
    let selected = context.select()?;
    let source = Source::open(&args.file)?;
    if args.arch.is_some() && !matches!(source, Source::Weights(_)) {
        bail!("{}: --arch is for files of weights alone, and this one holds its network itself", named());
    }
    let draft = match source {
        Source::Network(network) => NetworkDraft::of_network(*network),
        Source::Weights(file) => NetworkDraft::of_weights(&file, args.arch.as_deref(), size).with_context(named)?,
        Source::Onnx(file) => match file.import_for(size) {
            Ok(imported) => NetworkDraft::of_onnx(imported, &file.conventions()),
            Err(error @ (ImportError::Node { .. } | ImportError::Outputs(_))) => {
                output::line(format_args!("graft cannot parse this network: {error}"))?;
                output::line(format_args!(
                    "it is kept as it is: it can be served and given a new head, but its layers cannot be trained"
                ))?;
                let import = OpaqueImport::new(*file, labels, &args.preparation)?;
                return import.publish(args, &selected, context).with_context(named);
            }
            Err(error) => return Err(error).with_context(named),
        },
    };
    let draft = draft.labelled(labels).with_context(named)?;
    let mut preparation = args.preparation.resolve(&draft)?;
    if let Some(folder) = &args.verify {
        let file = |preparation: &Preparation| {
            let network = draft.network(preparation)?;
            Ok((onnx::export(&network, &onnx::ExportOptions::default())?, network.spec))
        };
        let fits = trial::best(folder, (&preparation, draft.input()?), &selected, &file)?;
        if args.preparation.is_open() {
            preparation = fits;
        }
    }
    output::line(format_args!("images are prepared {preparation}"))?;
    let network = draft.network(&preparation)?;
    publish(&args.name, &network, context)
}

pub(super) fn read_labels(path: &PathBuf) -> Result<Labels> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Labels::parse(&text).with_context(|| path.display().to_string())
}
