//! `graft models show`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use server::store::{Availability, ModelName, ModelSettings};

use super::ModelsContext;
use crate::cli::{output, percent};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The model
    name: ModelName,
}

/// A version as it is listed.
struct Version {
    number: u32,
    published_at: Option<String>,
    job: Option<String>,
    bytes: u64,
    test_top1: Option<f64>,
}

pub(super) fn run(args: &ShowArgs, context: &ModelsContext<'_>) -> Result<()> {
    if context.output.is_json() {
        return print_json(&args.name, context);
    }
    let (settings, versions) = read(&args.name, context)?;
    if let Some(notes) = &settings.notes {
        output::line(format_args!("{notes}"))?;
    }
    if settings.availability == Availability::Stopped {
        output::line(format_args!("unloaded; `graft models load {}` serves it again", args.name))?;
    }
    let numbers: Vec<u32> = versions.iter().map(|version| version.number).collect();
    let live = settings.live_of(&numbers);
    let row = |version: &Version| {
        let number = version.number;
        let shadow = settings.shadow.is_some_and(|shadow| shadow.version == number);
        let state = if live == Some(number) {
            "live"
        } else if shadow {
            "shadow"
        } else {
            ""
        };
        let notes = settings.versions.get(&number).and_then(|version| version.notes.clone());
        [
            number.to_string(),
            state.to_owned(),
            version.published_at.clone().unwrap_or_default(),
            format!("{:.1}", version.bytes as f64 / 1e6),
            percent(version.test_top1),
            notes.unwrap_or_default(),
        ]
    };
    let rows: Vec<[String; 6]> = versions.iter().rev().map(row).collect();
    Ok(output::table(["VERSION", "STATE", "PUBLISHED", "MB", "TEST TOP-1", "NOTES"], &rows)?)
}

/// The model as it is, for programs: after each change, too.
pub(super) fn print_json(name: &ModelName, context: &ModelsContext<'_>) -> Result<()> {
    let (settings, versions) = read(name, context)?;
    let numbers: Vec<u32> = versions.iter().map(|version| version.number).collect();
    let described: Vec<Value> = versions.iter().map(|version| describe(version, &settings)).collect();
    let default = context.store.default_model()?.as_ref() == Some(name);
    Ok(output::json(&json!({
        "name": name,
        "live": settings.live_of(&numbers),
        "default": default,
        "availability": settings.availability,
        "notes": settings.notes,
        "shadow": settings.shadow,
        "versions": described,
    }))?)
}

fn describe(version: &Version, settings: &ModelSettings) -> Value {
    let Version { number, published_at, job, bytes, test_top1 } = version;
    let decided = settings.versions.get(number).cloned().unwrap_or_default();
    json!({
        "version": number,
        "published_at": published_at,
        "job": job,
        "bytes": bytes,
        "test_top1": test_top1,
        "labels": decided.labels,
        "notes": decided.notes,
    })
}

fn read(name: &ModelName, context: &ModelsContext<'_>) -> Result<(ModelSettings, Vec<Version>)> {
    let store = &context.store;
    let numbers = store.versions(name)?;
    if numbers.is_empty() {
        // Names the models that there are.
        store.resolve(name, None)?;
    }
    let version = |number: u32| {
        let manifest = store.manifest(name, number);
        let test = store.report(name, number)?.map(|report| report.test).filter(|test| test.images > 0);
        Ok(Version {
            number,
            published_at: manifest.as_ref().map(|manifest| manifest.published_at.to_string()),
            job: manifest.and_then(|manifest| manifest.job).map(|job| job.id),
            bytes: store.file_size(name, number)?,
            test_top1: test.map(|test| test.top1),
        })
    };
    Ok((store.settings(name)?, numbers.into_iter().map(version).collect::<Result<Vec<Version>>>()?))
}
