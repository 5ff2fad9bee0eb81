//! The ratios on record, a table for each instruction set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// What the file begins with.
const HEADING: &str = "\
# How long each measure of the bench `baseline` takes, in multiples of its yardstick, by instruction set.
# Written by `cargo bench --workspace --bench baseline -- --write`; write it on a machine that does nothing else.
";

pub(crate) struct Record(BTreeMap<String, BTreeMap<String, f64>>);

impl Record {
    pub(crate) fn read() -> Result<Self> {
        let path = path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self(toml::from_str(&text).with_context(|| path.display().to_string())?))
    }

    pub(crate) fn ratio(&self, set: &str, name: &str) -> Option<f64> {
        self.0.get(set)?.get(name).copied()
    }

    /// Takes these ratios in, to three places.
    pub(crate) fn replace(&mut self, set: &str, ratios: &[(&'static str, f64)]) {
        let rows = self.0.entry(set.to_owned()).or_default();
        rows.extend(ratios.iter().map(|(name, ratio)| ((*name).to_owned(), (ratio * 1e3).round() / 1e3)));
    }

    pub(crate) fn write(&self) -> Result<()> {
        let path = path();
        let text = format!("{HEADING}\n{}", toml::to_string(&self.0)?);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches", "baseline", "baseline.toml"].iter().collect()
}
