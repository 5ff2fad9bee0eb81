//! `graft report`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use server::report::ModelReport;
use server::store::ModelName;

use super::{CommandContext, destination, output};

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The stored model, made by `graft finetune`
    name: ModelName,

    /// Which version [default: the live one]
    #[arg(long, env = "GRAFT_VERSION", value_name = "N")]
    version: Option<u32>,

    /// The page to write [default: NAME-VERSION.html in this folder]
    #[arg(long, env = "GRAFT_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs, context: &CommandContext) -> Result<()> {
    let store = context.store()?;
    let (name, version) = (&args.name, store.resolve(&args.name, args.version)?);
    let Some(report) = ModelReport::read(&store, name, version)? else {
        bail!("`{name}` version {version} has no report, because no fine-tune made it; `graft evaluate` measures it");
    };
    let page = report.html(|file| store.picture(name, version, file));
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}-{version}.html")));
    destination::write(&out, page.as_bytes()).with_context(|| out.display().to_string())?;
    Ok(output::line(format_args!("wrote {}", out.display()))?)
}
