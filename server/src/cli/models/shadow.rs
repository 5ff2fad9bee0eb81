//! `graft models shadow`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use server::store::ModelName;

use super::{ModelsContext, show};
use crate::cli::output;

#[derive(Debug, Args)]
pub(super) struct ShadowArgs {
    /// The model
    name: ModelName,

    /// The version that is to be the shadow [default: say what the shadow has counted]
    version: Option<u32>,

    /// The share of the images that it answers too, above 0 and up to 1
    #[arg(long, env = "GRAFT_SHADOW_SHARE", value_name = "SHARE", default_value_t = 0.1)]
    share: f64,

    /// End the shadow, and forget what it has counted
    #[arg(long, conflicts_with = "version")]
    clear: bool,
}

pub(super) fn run(args: &ShadowArgs, context: &ModelsContext<'_>) -> Result<()> {
    let ShadowArgs { name, version, share, clear } = args;
    match (version, clear) {
        (Some(version), _) => {
            context.store.set_shadow(name, *version, *share)?;
            done(name, context, &format!("version {version} of `{name}` is its shadow; a server counts when it runs"))
        }
        (None, true) => {
            context.store.clear_shadow(name)?;
            done(name, context, &format!("`{name}` has no shadow"))
        }
        (None, false) => counted(name, context),
    }
}

fn done(name: &ModelName, context: &ModelsContext<'_>, text: &str) -> Result<()> {
    if context.output.is_json() { show::print_json(name, context) } else { Ok(output::line(format_args!("{text}"))?) }
}

/// What a server has saved last.
fn counted(name: &ModelName, context: &ModelsContext<'_>) -> Result<()> {
    context.store.resolve(name, None)?;
    let Some(shadow) = context.store.settings(name)?.shadow else {
        bail!("`{name}` has no shadow; begin one with `graft models shadow {name} VERSION`");
    };
    let record: Option<Value> = context.store.shadow_record(name)?;
    if context.output.is_json() {
        return Ok(output::json(&record)?);
    }
    let Some(record) = record else {
        let version = shadow.version;
        output::line(format_args!("version {version}: a server has counted nothing yet"))?;
        return Ok(());
    };
    let count = |name: &str| record["counts"][name].as_u64().unwrap_or(0);
    let (compared, agreed) = (count("compared"), count("agreed"));
    let share = if compared == 0 { 0.0 } else { 100.0 * agreed as f64 / compared as f64 };
    Ok(output::line(format_args!(
        "version {}: {agreed} of {compared} images as the live version ({share:.1} %), {} dropped, {} failed",
        shadow.version,
        count("dropped"),
        count("failed"),
    ))?)
}
