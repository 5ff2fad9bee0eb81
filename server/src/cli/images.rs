//! Which images a command is about: at a path or published under a name, and how they are arranged.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use server::datasets::{Downloads, Permission, PublishedDataset};
use trainer::data::{ClassSummary, DatasetSource, DatasetSummary, Layout};
use trainer::events::Observer;

use super::{CommandContext, stored};

/// How the images are arranged, and how those that are named and not there come here.
#[derive(Debug, Args)]
pub(super) struct DatasetArgs {
    /// How the images are arranged, which says their classes
    #[arg(long, alias = "kind", env = "GRAFT_LAYOUT", value_enum, default_value_t)]
    layout: Layout,

    /// The classes: folders of these names, wherever they are, hold the images, and all others are left out [default: as the
    /// layout says]
    #[arg(long, env = "GRAFT_CLASSES", value_delimiter = ',', value_name = "CLASS,…")]
    classes: Vec<String>,

    /// Fetch a data set that `--data` names (`oxford17`, `cifar10`) from where it is published, once; without this nothing
    /// is fetched
    #[arg(long, env = "GRAFT_DOWNLOAD")]
    download: bool,

    /// A mirror: what stands before the path of each published address, in the place of its scheme and host
    #[arg(long, env = "GRAFT_DATASET_ENDPOINT", value_name = "URL")]
    dataset_endpoint: Option<String>,
}

impl DatasetArgs {
    /// The images at a path that is there, of a stored data set, or of the published one of this name, which may have to be
    /// fetched first.
    /// What is neither stays, for the reader to say so.
    pub(super) fn locate(
        &self,
        data: &Path,
        context: &CommandContext,
        observer: &mut dyn Observer,
    ) -> Result<DatasetSource> {
        if let Some(stored) = data.to_str().filter(|_| !data.exists()).and_then(stored::named) {
            return stored?.source(context);
        }
        let source = |path| DatasetSource { layout: self.layout, path, classes: self.classes.clone() };
        let published = data.to_str().filter(|_| !data.exists()).and_then(PublishedDataset::find);
        let Some(published) = published else { return Ok(source(data.to_owned())) };
        let downloads = Downloads {
            folder: &context.data.published_dir(),
            permission: if self.download { Permission::Granted } else { Permission::Denied },
            endpoint: self.dataset_endpoint.as_deref(),
        };
        Ok(source(published.obtain(&downloads, observer)?))
    }
}

/// How many classes are listed.
const CLASSES: usize = 30;

/// How a data set was understood, in lines.
pub(super) fn describe(summary: &DatasetSummary) -> Vec<String> {
    let DatasetSummary { layout, evidence, classes, images, given_subsets, omissions, unusable, .. } = summary;
    let count = |subset: fn(&ClassSummary) -> usize| classes.iter().map(subset).sum::<usize>();
    let origin = match &given_subsets[..] {
        [] => "drawn by the seed".to_owned(),
        subsets => format!("the data set gives {}", subsets.join(", ")),
    };
    let width = classes.iter().take(CLASSES).map(|class| class.name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![
        format!("data: layout {}: {evidence}", layout.name()),
        format!(
            "data: {images} images of {} classes: {} train, {} validate, {} test ({origin})",
            classes.len(),
            count(|class| class.train),
            count(|class| class.validation),
            count(|class| class.test),
        ),
    ];
    lines.extend(classes.iter().take(CLASSES).map(|class| format!("  {:width$}  {:6}", class.name, class.images())));
    if classes.len() > CLASSES {
        lines.push(format!("  and {} more classes", classes.len() - CLASSES));
    }
    lines.extend(omissions.iter().map(|omission| {
        let examples = omission.examples.join(", ");
        let more = if omission.count > omission.examples.len() { ", …" } else { "" };
        format!("data: left out {} ({}): {examples}{more}", omission.reason.describe(), omission.count)
    }));
    if *unusable > 0 {
        lines.push(format!("data: {unusable} file(s) cannot be used"));
    }
    lines.extend(summary.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines
}
