//! `graft models prune`.

use std::num::NonZeroU32;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use server::store::ModelName;

use super::ModelsContext;
use crate::cli::output;

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// How many of the newest versions of each model are kept
    #[arg(long, env = "GRAFT_KEEP_VERSIONS", value_name = "N")]
    keep: NonZeroU32,

    /// Of which model [default: of all]
    #[arg(long, env = "GRAFT_MODEL")]
    model: Option<ModelName>,
}

pub(super) fn run(args: &PruneArgs, context: &ModelsContext<'_>) -> Result<()> {
    let store = &context.store;
    let names = match &args.model {
        // A name that is misspelt is an error.
        Some(name) => store.resolve(name, None).map(|_| vec![name.clone()])?,
        None => store.list()?.models.into_iter().map(|entry| entry.name).collect(),
    };
    let mut removed = Vec::new();
    for name in names {
        for version in store.prune(&name, args.keep, &[])? {
            removed.push(json!({"name": name, "version": version}));
            if !context.output.is_json() {
                output::line(format_args!("removed `{name}` version {version}"))?;
            }
        }
    }
    if context.output.is_json() { Ok(output::json(&removed)?) } else { Ok(()) }
}
