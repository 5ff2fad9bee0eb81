//! `graft models` and `graft models prune`.

use std::num::NonZeroU32;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use server::store::{ModelName, ModelStore, StoredModel};

use super::{CommandContext, output};

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// Print JSON
    #[arg(long, env = "GRAFT_JSON")]
    json: bool,

    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Remove old versions. The newest that can be read stays in any case
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
struct PruneArgs {
    /// How many of the newest versions of each model are kept
    #[arg(long, env = "GRAFT_KEEP_VERSIONS", value_name = "N")]
    keep: NonZeroU32,

    /// Of which model [default: of all]
    #[arg(long, env = "GRAFT_MODEL")]
    model: Option<ModelName>,
}

pub(super) fn run(args: &ModelsArgs, context: &CommandContext) -> Result<()> {
    let store = ModelStore::open(&context.data.models_dir())?;
    if let Some(ModelsCommand::Prune(args)) = &args.command {
        return prune(&store, args);
    }
    let listing = store.list()?;
    for (_, error) in &listing.unreadable {
        output::warning(error);
    }
    let mut models = Vec::new();
    for entry in &listing.models {
        let newest = entry.versions.last().map(|&version| store.read(&entry.name, version));
        match newest {
            Some(Ok(model)) => models.push(model),
            Some(Err(error)) => output::warning(&error),
            None => {}
        }
    }
    if args.json {
        return Ok(output::json(&models.iter().map(describe).collect::<Vec<_>>())?);
    }
    if models.is_empty() {
        let folder = context.data.models_dir();
        output::line(format_args!("no models in {} yet; put one there with `graft import`", folder.display()))?;
        return Ok(());
    }
    let rows: Vec<[String; 5]> = models.iter().map(row).collect();
    Ok(output::table(["NAME", "VERSION", "CLASSES", "GRAFTED ON", "TEST TOP-1"], &rows)?)
}

fn prune(store: &ModelStore, args: &PruneArgs) -> Result<()> {
    let names = match &args.model {
        // A name that is misspelt is an error.
        Some(name) => store.resolve(name, None).map(|_| vec![name.clone()])?,
        None => store.list()?.models.into_iter().map(|entry| entry.name).collect(),
    };
    for name in names {
        for version in store.prune(&name, args.keep, &[])? {
            output::line(format_args!("removed `{name}` version {version}"))?;
        }
    }
    Ok(())
}

fn row(model: &StoredModel) -> [String; 5] {
    let classes = model.spec.labels.as_ref().map_or("backbone".to_owned(), |labels| labels.len().to_string());
    let training = model.spec.training.as_ref();
    let base = training.map_or_else(|| format!("({})", model.spec.architecture), |record| record.base.clone());
    let top1 = training.and_then(|record| record.metrics["test_top1"].as_f64());
    let top1 = top1.map_or(String::new(), |top1| format!("{:.1} %", 100.0 * top1));
    [model.name.to_string(), model.version.to_string(), classes, base, top1]
}

fn describe(model: &StoredModel) -> Value {
    json!({"name": model.name, "version": model.version, "spec": model.spec})
}
