//! `graft pull`: pretrained weights from the Hugging Face Hub into the store.

mod config;
mod hub;
mod progress;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use models::Labels;
use models::zoo::{self, PUBLISHED, PublishedWeights};
use server::store::ModelName;

use super::import::source::WeightsFile;
use super::import::{ImportSession, NamedLabels, NetworkDraft, PreparationSource};
use super::{CommandContext, import, output};
use config::Config;
use hub::Hub;

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// A network (`vgg16`, `resnet50`), particular weights of one (`resnet50.tv2_in1k`), or a repository of timm's
    /// (`timm/resnet34.a1_in1k`)
    network: String,

    /// The name in the store [default: the network's]
    #[arg(long, env = "GRAFT_NAME")]
    name: Option<ModelName>,

    /// The class names in the order of the outputs [default: ImageNet's, or those in the repository]
    #[arg(long, env = "GRAFT_LABELS", value_name = "FILE")]
    labels: Option<PathBuf>,

    #[command(flatten)]
    hub: hub::HubArgs,
}

/// The files of a timm repository.
const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";

pub(super) fn run(args: &PullArgs, context: &CommandContext) -> Result<()> {
    let (repository, published) = resolve(&args.network)?;
    let hub = Hub::new(&args.hub, &context.data)?;
    let config = match (hub.fetch_small(&repository, CONFIG)?, published) {
        (Some(bytes), _) => Config::parse(&bytes).with_context(|| format!("{CONFIG} of {repository}"))?,
        (None, Some(published)) => Config::of(published),
        (None, None) => bail!("{repository} has no {CONFIG}, so it does not say how its images are prepared"),
    };
    let row = zoo::find(&config.architecture).with_context(|| {
        format!("{repository} is of `{}`, which graft does not build; import its ONNX file", config.architecture)
    })?;
    let path = hub.fetch(&repository, WEIGHTS)?;
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let weights = WeightsFile::read(bytes).with_context(|| format!("{WEIGHTS} of {repository}"))?;
    let [height, width] = config.preprocess.output_size().map_or(row.input(), |(h, w)| [h as usize, w as usize]);
    let session = ImportSession::of_command(context);
    let mut draft = NetworkDraft::of_weights(&weights, Some(row.name()), Some([height, width]), &session)?;
    draft.known = Some(PreparationSource::Parameters {
        preprocess: Box::new(config.preprocess),
        origin: format!("as {repository} says"),
    });
    let classes = draft.graph.shape(draft.graph.output()).len();
    let own = config.labels.or((classes == 1000).then(Labels::imagenet));
    draft.labels = own.map(|labels| NamedLabels::new(labels, repository.clone()));
    let labels = args.labels.as_ref().map(NamedLabels::read).transpose()?;
    let draft = draft.labeled(labels)?;
    let preparation = draft.known_preparation()?;
    output::line(format_args!("images are prepared {preparation}"))?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => row.name().parse()?,
    };
    import::publish(&name, &draft.network(&preparation)?, &session).map(drop)
}

/// The repository, and what is known of the weights in it.
fn resolve(network: &str) -> Result<(String, Option<&'static PublishedWeights>)> {
    let tagged = |row: &&PublishedWeights| {
        row.repository.is_some_and(|repository| {
            repository == network || repository.split_once('/').is_some_and(|(_, name)| name == network)
        })
    };
    let first = || PUBLISHED.iter().find(|row| row.architecture == network && row.repository.is_some());
    let row = PUBLISHED.iter().find(tagged).or_else(first);
    if let Some((row, repository)) = row.and_then(|row| Some((row, row.repository?))) {
        let others =
            PUBLISHED.iter().filter(|other| other.architecture == network && other.repository != row.repository);
        for other in others.filter_map(|other| other.repository) {
            output::line(format_args!("there are other weights of it: `graft pull {other}`"))?;
        }
        return Ok((repository.to_owned(), Some(row)));
    }
    if network.contains('/') {
        return Ok((network.to_owned(), None));
    }
    let names: Vec<&str> = PUBLISHED.iter().filter_map(|row| row.repository?.split('/').next_back()).collect();
    bail!(
        "there are no published weights of `{network}`; there are {}, or name a repository of timm's",
        names.join(", ")
    )
}
