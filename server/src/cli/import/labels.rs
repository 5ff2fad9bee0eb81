//! Class names for as many classes as a network has.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use models::Labels;

/// Class names, and where they are from.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct NamedLabels {
    pub(in crate::cli) labels: Labels,
    /// As the subject of a sentence, such as "the metadata `names`".
    pub(in crate::cli) origin: String,
}

impl NamedLabels {
    pub(in crate::cli) fn new(labels: Labels, origin: impl Into<String>) -> Self {
        Self { labels, origin: origin.into() }
    }

    /// Those of a file that the user names.
    pub(in crate::cli) fn read(path: &PathBuf) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let labels = Labels::parse_bytes(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self::new(labels, path.display().to_string()))
    }
}

/// The user's names, or else the file's, or else numbers.
pub(in crate::cli) fn resolve(
    user_labels: Option<NamedLabels>,
    own: Option<NamedLabels>,
    classes: usize,
) -> Result<Labels> {
    let Some(NamedLabels { labels, origin }) = user_labels.or(own) else { return Ok(numbered(classes)) };
    match labels.len() {
        names if names == classes => Ok(labels),
        1 if classes == 2 => bail!(
            "{origin} names 1 class, and the network tells 2 apart; name both with --labels, first the one that low numbers mean"
        ),
        names if names + 1 == classes => bail!(
            "{origin} names {names} classes, and the network has {classes}; networks made with TensorFlow often have a class for \
             the background, the first: name all of them with --labels"
        ),
        names => {
            bail!("{origin} names {names} class(es), and the network has {classes}; name all of them with --labels")
        }
    }
}

/// `class 0`, `class 1`, …
pub(super) fn numbered(classes: usize) -> Labels {
    Labels::new((0..classes).map(|class| format!("class {class}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str], origin: &str) -> Option<NamedLabels> {
        Some(NamedLabels::new(Labels::new(names.iter().map(|&name| name.to_owned()).collect()), origin))
    }

    #[test]
    fn the_users_names_go_before_the_files_and_numbers_behind_both() {
        let resolve = |user_labels, own| resolve(user_labels, own, 2).unwrap().names().to_vec();
        assert_eq!(resolve(named(&["a", "b"], "labels.txt"), named(&["c", "d"], "the file")), ["a", "b"]);
        assert_eq!(resolve(None, named(&["c", "d"], "the file")), ["c", "d"]);
        assert_eq!(resolve(None, None), ["class 0", "class 1"]);
    }

    #[test]
    fn names_that_are_not_as_many_as_the_classes_are_never_dropped() {
        for (names, classes, expected) in [
            (&["a", "b"][..], 5, "the metadata `names` names 2 class(es), and the network has 5"),
            (&["a", "b"], 3, "a class for the background"),
            (&["a"], 2, "tells 2 apart; name both"),
        ] {
            let error = resolve(None, named(names, "the metadata `names`"), classes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
