//! `graft models`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use server::store::{ModelStore, StoredModel};

use super::{CommandContext, output};

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// Print JSON
    #[arg(long, env = "GRAFT_JSON")]
    json: bool,
}

pub(super) fn run(args: &ModelsArgs, context: &CommandContext) -> Result<()> {
    let store = ModelStore::open(&context.data.models_dir())?;
    let entries = store.list()?;
    let models = entries
        .iter()
        .filter_map(|entry| entry.versions.last().map(|&version| store.read(&entry.name, version)))
        .collect::<Result<Vec<_>, _>>()?;
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
