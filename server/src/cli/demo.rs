//! `graft demo`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use server::config::ProviderArgs;
use server::demo::{self, THINGS};
use server::finetune::{DeployMode, DeployOptions, FinetuneSpec};
use server::store::ModelName;
use trainer::data::{DatasetSource, Layout};
use trainer::finetune::FinetuneOptions;

use super::classify::{self, ClassifyArgs};
use super::{CommandContext, finetune, output};

/// Draws a small data set, grafts a head for it onto a stored model, and classifies pictures that the model has not seen: the
/// main job, with nothing at hand.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The folder for the drawings
    #[arg(long, env = "GRAFT_OUT", value_name = "DIR", default_value = "graft-demo")]
    out: PathBuf,

    /// How many drawings of each thing the model learns from
    #[arg(long, env = "GRAFT_PICTURES", value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(8..=1000))]
    pictures: u64,

    /// The stored model to graft upon
    #[arg(long, env = "GRAFT_BASE", value_name = "MODEL", default_value = ModelName::STARTER)]
    base: ModelName,

    /// The name under which the result is stored
    #[arg(long, env = "GRAFT_NAME", value_name = "MODEL", default_value = "demo")]
    name: ModelName,

    #[command(flatten)]
    provider: ProviderArgs,
}

pub(super) fn run(args: &DemoArgs, context: &CommandContext) -> Result<ExitCode> {
    let clock = Instant::now();
    context.store()?;
    // What is asked for and missing is said before anything is drawn.
    context.select_with(&args.provider)?;
    let drawn = demo::draw(&args.out, args.pictures)?;
    let names = THINGS.map(|thing| format!("{}s", thing.name()));
    let (data, number) = (drawn.data.display(), args.pictures * THINGS.len() as u64);
    output::line(format_args!("1. drew {number} pictures of {} into {data}\n", names.join(", ")))?;

    let (base, name) = (&args.base, &args.name);
    output::line(format_args!("2. a new head for `{base}`, which has never seen these classes"))?;
    let spec = FinetuneSpec {
        base_model: base.clone(),
        dataset: DatasetSource { layout: Layout::default(), path: drawn.data.clone(), classes: vec![] }.into(),
        name: name.clone(),
        options: FinetuneOptions::default(),
        // A second demonstration shows what it has trained, not what the first has.
        deploy: DeployOptions { mode: DeployMode::OnSuccess, ..DeployOptions::default() },
        webhook: None,
    };
    finetune::train(&spec, &args.provider, context)?;

    output::line(format_args!("\n3. pictures that it has not seen"))?;
    let unseen = drawn.unseen.map(|(_, path)| path);
    let status = classify::run(&ClassifyArgs::of(name.clone(), unseen.to_vec(), args.provider.clone()), context)?;

    let [unseen, ..] = unseen.map(|path| path.display().to_string());
    output::line(format_args!(
        "\nthat took {:.1} s. The same with your own pictures, in a folder with a folder for each class:",
        clock.elapsed().as_secs_f64()
    ))?;
    output::line(format_args!("  graft finetune --data FOLDER --name mine"))?;
    output::line(format_args!("  graft classify --model mine PHOTO.jpg"))?;
    output::line(format_args!(
        "  graft serve      and then  curl -F image=@{unseen} 'localhost:8080/classify?model={name}'"
    ))?;
    Ok(status)
}
