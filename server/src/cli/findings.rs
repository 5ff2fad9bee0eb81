//! What is found in a data set, for people.

use anyhow::Result;
use server::datasets::DatasetFindings;
use trainer::data::{CopyGroup, CopyKind, ImageGroup, Storage};

use super::images::describe;
use super::output;

/// How many findings of a kind are shown.
pub(super) const SHOWN: usize = 20;

/// Prints everything that is found.
pub(super) fn print(findings: &DatasetFindings) -> Result<()> {
    for line in describe(&findings.summary) {
        output::line(format_args!("{line}"))?;
    }
    for file in &findings.bad_files {
        output::line(format_args!("cannot be used: {}", file.reason))?;
    }
    let diagnosis = &findings.diagnosis;
    for image in diagnosis.tiny.iter().take(SHOWN) {
        output::line(format_args!("tiny: {} has {}x{} pixels", image.image, image.width, image.height))?;
    }
    rest("tiny images", diagnosis.tiny.len())?;
    for group in diagnosis.copies.iter().take(SHOWN) {
        output::line(format_args!("{}", copies(group)))?;
    }
    rest("groups of copies", diagnosis.copies.len())?;
    for line in storage(&diagnosis.storage) {
        output::line(format_args!("{line}"))?;
    }
    if let Some(imbalance) = &diagnosis.imbalance {
        output::line(format_args!(
            "imbalance: `{}` has {} images and `{}` has {}; add images of the smaller classes, or the model will prefer the \
             larger ones",
            imbalance.largest, imbalance.largest_images, imbalance.smallest, imbalance.smallest_images
        ))?;
    }
    Ok(())
}

/// How many findings are not shown.
pub(super) fn rest(what: &str, count: usize) -> Result<()> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => Ok(output::line(format_args!("and {more} more {what}; `--format json` has all"))?),
    }
}

fn copies(group: &CopyGroup) -> String {
    let alike = match group.kind {
        CopyKind::Exact => "the same image",
        CopyKind::Similar => "looks the same",
    };
    let mut where_found = Vec::new();
    if group.across_classes {
        where_found.push("in several classes");
    }
    if group.across_subsets {
        where_found.push("in several subsets");
    }
    let where_found = if where_found.is_empty() { String::new() } else { format!(", {}", where_found.join(" and ")) };
    let images = group.images.iter().map(|copy| match &copy.subset {
        Some(subset) => format!("{} ({}, {subset})", copy.image, copy.class),
        None => format!("{} ({})", copy.image, copy.class),
    });
    format!("copies: {alike}{where_found}: {}", images.collect::<Vec<_>>().join(", "))
}

/// What is unusual about how the images are stored.
fn storage(storage: &Storage) -> Vec<String> {
    let mut lines = Vec::new();
    if storage.turned.count > 0 {
        let text = "image(s) are turned upright by their EXIF orientation; programs that ignore it see them turned";
        lines.push(line("turned", &storage.turned, text));
    }
    // Of ordinary photographs there is nothing to say.
    for group in storage.modes.iter().filter(|group| group.mode.is_unusual()) {
        let text = format!("image(s) are {}, and become RGB", group.mode.name());
        lines.push(line("colors", &group.images, &text));
    }
    if storage.deep.count > 0 {
        lines.push(line("colors", &storage.deep, "image(s) have 16 bits a channel, of which 8 are kept"));
    }
    for stray in storage.stray_folders.iter().take(SHOWN) {
        lines.push(format!(
            "stray: no image of the folder {} is used; {} entries are left out",
            stray.folder, stray.entries
        ));
    }
    lines
}

fn line(what: &str, group: &ImageGroup, text: &str) -> String {
    let more = if group.count > group.examples.len() { ", …" } else { "" };
    format!("{what}: {} {text}: {}{more}", group.count, group.examples.join(", "))
}
