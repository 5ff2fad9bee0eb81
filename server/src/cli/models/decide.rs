//! `graft models live`, `default`, `load`, `unload`, `delete`, `label` and `note`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use models::Labels;
use serde_json::json;
use server::inference::check_version;
use server::store::{Availability, DeleteGuard, ModelName};

use super::{ModelsContext, show};
use crate::cli::output;

#[derive(Debug, Args)]
pub(super) struct LiveArgs {
    /// The model
    name: ModelName,

    /// The version [default: the newest]
    version: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct DefaultArgs {
    /// The model [default: say which it is]
    name: Option<ModelName>,

    /// Have no default model
    #[arg(long, conflicts_with = "name")]
    clear: bool,
}

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The model
    name: ModelName,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The model
    name: ModelName,

    /// The version's number; `graft models show` lists them
    version: u32,

    /// Delete it although it is live: the newest of the others answers then
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct LabelArgs {
    /// The model
    name: ModelName,

    /// The version's number; `graft models show` lists them
    version: u32,

    /// A file with as many names as there are classes, in their order: one a line, or a list in JSON
    #[arg(value_name = "FILE")]
    labels: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct NoteArgs {
    /// The model
    name: ModelName,

    /// The note; an empty text removes it
    text: String,

    /// Of a version [default: of the model]
    #[arg(long, env = "GRAFT_VERSION", value_name = "N")]
    version: Option<u32>,
}

impl ModelsContext<'_> {
    /// Says what was done, or, for programs, how the model is now.
    fn done(&self, name: &ModelName, text: std::fmt::Arguments<'_>) -> Result<()> {
        match self.output.is_json() {
            true => show::print_json(name, self),
            false => Ok(output::line(text)?),
        }
    }
}

pub(super) fn live(args: &LiveArgs, context: &ModelsContext<'_>) -> Result<()> {
    let LiveArgs { name, version } = args;
    let newest = context.store.latest(name)?;
    let version = context.store.resolve(name, version.or(newest))?;
    let before = context.store.resolve(name, None).ok();
    let stored = context.store.read(name, version)?;
    let checked = check_version(&stored, &context.command.select()?);
    if let Err(reason) = checked {
        let goes_on = before.map_or(String::new(), |before| format!("; version {before} stays live"));
        bail!("version {version} of `{name}` cannot serve: {reason}{goes_on}");
    }
    context.store.set_live(name, version)?;
    context.done(name, format_args!("version {version} of `{name}` is live"))
}

pub(super) fn default(args: &DefaultArgs, context: &ModelsContext<'_>) -> Result<()> {
    if args.clear || args.name.is_some() {
        context.store.set_default_model(args.name.as_ref())?;
    }
    let default = context.store.default_model()?;
    if context.output.is_json() {
        return Ok(output::json(&json!({"default": default}))?);
    }
    match default {
        Some(name) => output::line(format_args!("`{name}` answers where a request names no model"))?,
        None => output::line(format_args!("there is no default model"))?,
    }
    Ok(())
}

pub(super) fn load(args: &LoadArgs, context: &ModelsContext<'_>) -> Result<()> {
    context.store.set_availability(&args.name, Availability::Served)?;
    context.done(&args.name, format_args!("`{}` is served", args.name))
}

pub(super) fn unload(args: &LoadArgs, context: &ModelsContext<'_>) -> Result<()> {
    context.store.set_availability(&args.name, Availability::Stopped)?;
    context.done(&args.name, format_args!("`{}` is unloaded", args.name))
}

pub(super) fn delete(args: &DeleteArgs, context: &ModelsContext<'_>) -> Result<()> {
    let DeleteArgs { name, version, force } = args;
    let guard = if *force { DeleteGuard::AnyVersion } else { DeleteGuard::KeepLive };
    context.store.delete(name, *version, guard)?;
    if context.output.is_json() && context.store.latest(name)?.is_none() {
        return Ok(output::json(&json!({"name": name, "versions": []}))?);
    }
    context.done(name, format_args!("deleted version {version} of `{name}`"))
}

pub(super) fn label(args: &LabelArgs, context: &ModelsContext<'_>) -> Result<()> {
    let LabelArgs { name, version, labels } = args;
    let named = || labels.display().to_string();
    let names = Labels::parse_bytes(&std::fs::read(labels).with_context(named)?).with_context(named)?;
    let count = names.len();
    context.store.set_labels(name, *version, names.names().to_vec())?;
    context.done(name, format_args!("the {count} classes of `{name}` version {version} are called so"))
}

pub(super) fn note(args: &NoteArgs, context: &ModelsContext<'_>) -> Result<()> {
    let NoteArgs { name, text, version } = args;
    match version {
        Some(version) => context.store.set_version_notes(name, *version, text)?,
        None => context.store.set_notes(name, text)?,
    }
    context.done(name, format_args!("noted"))
}
