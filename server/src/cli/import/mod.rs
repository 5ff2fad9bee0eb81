//! `graft import`: ONNX files and files of weights into the store.

mod deadline;
mod facts;
pub(super) mod job;
mod labels;
mod network;
mod opaque;
mod origin;
mod preparation;
mod publish;
mod session;
pub(super) mod source;
mod trial;
pub(super) mod weights;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use models::scores::ScoreKind;
use onnx::{ImportError, ModelFile, SignatureOptions};
use server::imports::ImportSummary;
use server::store::ModelName;

use super::{CommandContext, output};
pub(super) use facts::FileFacts;
pub(super) use labels::NamedLabels;
pub(super) use network::NetworkDraft;
use opaque::OpaqueImport;
pub(super) use origin::PreparationSource;
use preparation::PreparationArgs;
pub(super) use preparation::{Preparation, parse_size};
pub(super) use publish::publish;
pub(super) use session::ImportSession;
use source::Source;
use trial::PreparationTrials;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// An ONNX file (a classifier, or a headless backbone to graft upon), or a file of weights: safetensors, PyTorch's
    /// .pth, Keras' .h5
    file: PathBuf,

    /// The name in the store
    #[arg(long, env = "GRAFT_NAME")]
    name: ModelName,

    /// The class names in the order of the outputs: one a line, a JSON array, or names by class, as JSON, Python or YAML has
    /// them. Where one output number decides between two classes, first the one that low numbers mean [default: those in the
    /// file, else class 0, class 1, …]
    #[arg(long, env = "GRAFT_LABELS", value_name = "FILE")]
    labels: Option<PathBuf>,

    /// The output that classifies, where an ONNX file has several and does not tell [default: the one whose last operators,
    /// width or name says so]
    #[arg(long, env = "GRAFT_OUTPUT", value_name = "NAME")]
    output: Option<String>,

    /// What the numbers of that output are: logits of classes that exclude each other (softmax), logits of independent labels
    /// (sigmoid), or scores that are ready (none) [default: what the last operators say]
    #[arg(long, env = "GRAFT_ACTIVATION", value_enum, value_name = "KIND")]
    activation: Option<ActivationArg>,

    /// How many seconds a trial run of a network that graft cannot parse may take
    #[arg(long, env = "GRAFT_TRIAL_SECONDS", default_value_t = 120, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    trial_seconds: u64,

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

    /// Print a summary as JSON behind everything else, in a line of its own
    #[arg(long, env = "GRAFT_JSON")]
    json: bool,

    /// Run at a lower priority, so that a server on this machine is not slowed down
    #[arg(long, env = "GRAFT_BACKGROUND")]
    background: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActivationArg {
    /// Logits of classes that exclude each other; their scores sum to 1.
    Softmax,
    /// Logits of labels that stand beside each other; each has its own score.
    Sigmoid,
    /// Scores that are ready.
    None,
}

impl From<ActivationArg> for ScoreKind {
    fn from(activation: ActivationArg) -> Self {
        match activation {
            ActivationArg::Softmax => Self::Softmax,
            ActivationArg::Sigmoid => Self::Sigmoid,
            ActivationArg::None => Self::Identity,
        }
    }
}

impl ImportArgs {
    fn size(&self) -> Option<[usize; 2]> {
        self.size.map(|[height, width]| [height as usize, width as usize])
    }

    fn named(&self) -> String {
        self.file.display().to_string()
    }

    /// Refuses options that this kind of file has no use for.
    fn check(&self, source: &Source) -> Result<()> {
        if self.arch.is_some() && !matches!(source, Source::Weights(_)) {
            bail!("{}: --arch is for files of weights alone, and this one holds its network itself", self.named());
        }
        if (self.output.is_some() || self.activation.is_some()) && !matches!(source, Source::Onnx(_)) {
            bail!("{}: --output and --activation are for ONNX files alone", self.named());
        }
        Ok(())
    }
}

/// As jobs have it.
const NICENESS: i32 = 10;

pub(super) fn run(args: &ImportArgs, context: &CommandContext) -> Result<()> {
    // Before any thread is started, because each inherits it.
    if args.background
        && let Err(error) = rustix::process::nice(NICENESS)
    {
        tracing::warn!(%error, "the import keeps its priority");
    }
    let version = import(args, &ImportSession::of_command(context))?;
    if args.json {
        let summary = ImportSummary { name: args.name.clone(), version };
        output::line(format_args!("{}", serde_json::to_string(&summary)?))?;
    }
    Ok(())
}

fn import(args: &ImportArgs, session: &ImportSession<'_>) -> Result<u32> {
    let named = || args.named();
    let labels = args.labels.as_ref().map(NamedLabels::read).transpose()?;
    // Every engine of this machine is tried, whichever will serve.
    let selected = session.context.select()?;
    let source = Source::open(&args.file)?;
    args.check(&source)?;
    let draft = match source {
        Source::Network(network) => NetworkDraft::of_network(*network),
        Source::Weights(file) => {
            NetworkDraft::of_weights(&file, args.arch.as_deref(), args.size(), session).with_context(named)?
        }
        Source::Onnx(file) => match parse(&file, args, labels.as_ref(), session).with_context(named)? {
            Parsed::Network(draft) => *draft,
            Parsed::Opaque(import) => {
                return import.publish(labels, &selected, session).with_context(named);
            }
        },
    };
    let draft = draft.labeled(labels).with_context(named)?;
    let mut preparation = draft.preparation(&args.preparation).with_context(named)?;
    if let Some(folder) = &args.verify {
        let file = |preparation: &Preparation| {
            let network = draft.network(preparation)?;
            Ok((onnx::export(&network, &onnx::ExportOptions::default())?, network.spec))
        };
        let trials = PreparationTrials { folder, chosen: &preparation, size: draft.input()?, selected: &selected };
        let fits = trials.best(&file)?;
        if args.preparation.is_open() {
            preparation = fits;
        }
    }
    session.line(format_args!("images are prepared {preparation}"))?;
    let network = draft.network(&preparation)?;
    publish(&args.name, &network, session)
}

/// An ONNX file, as far as graft can parse it.
enum Parsed<'a> {
    Network(Box<NetworkDraft>),
    Opaque(Box<OpaqueImport<'a>>),
}

/// Says what the file's inputs and outputs are, and reads its network.
fn parse<'a>(
    file: &ModelFile,
    args: &'a ImportArgs,
    labels: Option<&NamedLabels>,
    session: &ImportSession<'_>,
) -> Result<Parsed<'a>> {
    let options = SignatureOptions {
        output: args.output.as_deref(),
        activation: args.activation.map(ScoreKind::from),
        classes: labels.map(|named| named.labels.len()),
    };
    let facts = FileFacts::of(file, &options)?;
    facts.lines().iter().try_for_each(|line| session.line(format_args!("{line}")))?;
    match file.import_as(&facts.signature, args.size()) {
        Ok(imported) => Ok(Parsed::Network(Box::new(NetworkDraft::of_onnx(imported, &facts)?))),
        Err(error @ ImportError::Node { .. }) => {
            session.line(format_args!("graft cannot parse this network: {error}"))?;
            session.line(format_args!(
                "it is kept as it is: it can be served and given a new head, but its layers cannot be trained"
            ))?;
            Ok(Parsed::Opaque(Box::new(OpaqueImport::new(file, facts, args)?)))
        }
        Err(error) => Err(error.into()),
    }
}
