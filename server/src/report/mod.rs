//! The report of a fine-tune as one HTML page, which needs nothing but itself: no script, and no font, picture or style from
//! elsewhere.

mod charts;
mod command;
mod html;
mod sections;

use models::ModelSpec;
use trainer::finetune::report::FinetuneReport;

use crate::store::{ModelName, ModelStore, StoreError};
pub(crate) use html::escaped;

/// The style of the page, for light and for dark.
const STYLE: &str = include_str!("style.css");

/// A version with its report.
pub struct ModelReport {
    /// The model's name.
    pub name: ModelName,
    /// The version's number.
    pub version: u32,
    /// Where it came from.
    pub spec: ModelSpec,
    /// What was done and measured.
    pub report: FinetuneReport,
}

impl ModelReport {
    /// Reads the report of a version; `None` for one that no fine-tune made.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such version, or a file of it is damaged.
    pub fn read(store: &ModelStore, name: &ModelName, version: u32) -> Result<Option<Self>, StoreError> {
        let Some(report) = store.report(name, version)? else { return Ok(None) };
        let spec = store.spec(name, version)?;
        Ok(Some(Self { name: name.clone(), version, spec, report }))
    }

    /// The page, with the pictures that `picture` has of the files that the report names.
    #[must_use]
    pub fn html(&self, picture: impl Fn(&str) -> Option<Vec<u8>>) -> String {
        let title = format!("{} version {}", self.name, self.version);
        let sections = sections::all(self, &picture);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{sections}</main>\n</body>\n</html>\n",
            title = escaped(&title),
        )
    }
}

#[cfg(test)]
mod tests;
