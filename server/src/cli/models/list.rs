//! `graft models`.

use anyhow::Result;
use serde_json::{Value, json};
use server::store::{Availability, ModelEntry, ModelName, StoredModel};

use super::ModelsContext;
use crate::cli::output;

/// A model and the version of it that is to answer.
struct Row {
    entry: ModelEntry,
    live: StoredModel,
}

pub(super) fn run(context: &ModelsContext<'_>) -> Result<()> {
    let listing = context.store.list()?;
    for (_, error) in &listing.unreadable {
        output::warning(error);
    }
    let mut rows = Vec::new();
    for entry in listing.models {
        let Some(live) = entry.settings.live_of(&entry.versions) else { continue };
        match context.store.read(&entry.name, live) {
            Ok(live) => rows.push(Row { entry, live }),
            Err(error) => output::warning(&error),
        }
    }
    let default = context.store.default_model()?;
    if context.output.is_json() {
        return Ok(output::json(&rows.iter().map(|row| describe(row, default.as_ref())).collect::<Vec<_>>())?);
    }
    if rows.is_empty() {
        let folder = context.command.data.models_dir();
        output::line(format_args!("no models in {} yet; put one there with `graft import`", folder.display()))?;
        return Ok(());
    }
    let cells: Vec<[String; 6]> = rows.iter().map(|row| cells(row, default.as_ref())).collect();
    Ok(output::table(["NAME", "LIVE", "VERSIONS", "CLASSES", "GRAFTED ON", "TEST TOP-1"], &cells)?)
}

fn cells(Row { entry, live }: &Row, default: Option<&ModelName>) -> [String; 6] {
    let mark = match (entry.settings.availability, default == Some(&entry.name), &entry.settings.built_in) {
        (Availability::Stopped, ..) => " (unloaded)",
        (Availability::Served, true, _) => " (default)",
        (Availability::Served, false, Some(_)) => " (built in)",
        (Availability::Served, false, None) => "",
    };
    let classes = live.spec.labels.as_ref().map_or("backbone".to_owned(), |labels| labels.len().to_string());
    let training = live.spec.training.as_ref();
    let base = training.map_or_else(|| format!("({})", live.spec.architecture), |record| record.base.clone());
    let top1 = training.and_then(|record| record.metrics["test_top1"].as_f64());
    let top1 = top1.map_or(String::new(), |top1| format!("{:.1} %", 100.0 * top1));
    let versions = entry.versions.len().to_string();
    [format!("{}{mark}", entry.name), live.version.to_string(), versions, classes, base, top1]
}

fn describe(Row { entry, live }: &Row, default: Option<&ModelName>) -> Value {
    json!({
        "name": entry.name,
        "version": live.version,
        "versions": entry.versions,
        "default": default == Some(&entry.name),
        "built_in": entry.settings.built_in.is_some(),
        "availability": entry.settings.availability,
        "notes": entry.settings.notes,
        "spec": live.spec,
    })
}
