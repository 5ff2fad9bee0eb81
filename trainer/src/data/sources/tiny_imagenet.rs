//! Tiny ImageNet: 200 of ImageNet's classes at 64x64 pixels, whose pictures to validate on have their labels in a file.

use std::collections::{BTreeSet, HashMap};

use models::Labels;

use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::{BadFile, Dataset, DatasetError, Layout, Subset};

/// The ids of the classes, one a line.
const IDS: &str = "wnids.txt";
/// What every id of WordNet means, `n01443537<tab>goldfish, Carassius auratus`.
const WORDS: &str = "words.txt";
/// A line for each picture in `val`: its file, its class, and a box.
const ANNOTATIONS: &str = "val_annotations.txt";
const TRAIN: &str = "train";
const VALIDATION: &str = "val";

/// Whether the annotations are there, and beside them class folders that are called by ids of WordNet.
pub(super) fn is(tree: &Tree) -> bool {
    above(tree).is_some_and(|above| {
        let mut folders = tree.folders.iter().filter_map(|folder| folder.strip_prefix(above)?.get(..2));
        folders.any(|folder| folder[0] == TRAIN && is_id(&folder[1]))
    })
}

/// The classes of `wnids.txt`, or without it the folders in `train`, in the order of their ids, under the names that
/// `words.txt` gives them.
pub(super) fn list(mut tree: Tree) -> Result<Dataset, DatasetError> {
    let path = tree.root.clone();
    let refused = |reason: String| DatasetError::TinyImagenet { path: path.clone(), reason };
    let Some(above) = above(&tree).map(<[String]>::to_vec) else {
        return Err(refused(format!("there is no {VALIDATION}/{ANNOTATIONS} with the labels of {VALIDATION}")));
    };
    let ids = ids(&tree, &above)?;
    let missing: Vec<&String> = ids.iter().filter(|id| !has_folder(&tree, &above, id)).collect();
    if let Some(first) = missing.first() {
        let count = missing.len();
        return Err(refused(format!(
            "{IDS} lists {count} class(es) that have no folder in {TRAIN}, such as `{first}`; add the folders, or remove the \
             lines"
        )));
    }
    let labels = labels(&tree, &above, &ids)?;
    let validation = annotations(&mut tree, &above, &ids)?;
    let class = |id: &String| ids.binary_search(id).ok();
    let described = |parts: &[String]| match parts {
        [name] => name == IDS || name == WORDS,
        [folder, name] => folder == VALIDATION && name == ANNOTATIONS,
        _ => false,
    };
    let mut dataset = Dataset::sort_out(tree, labels, |file| {
        let Some(parts) = file.parts.strip_prefix(&above[..]) else { return beside(file) };
        match parts {
            parts if described(parts) => FileUse::Read,
            _ if !file.is_picture() => FileUse::Omitted(OmissionReason::OtherFile),
            [train, id, ..] if train == TRAIN => match class(id) {
                Some(class) => FileUse::Sample { class, subset: Some(Subset::Train) },
                None => FileUse::Omitted(OmissionReason::OtherClass),
            },
            [folder, .., name] if folder == VALIDATION => match validation.get(name) {
                Some(&class) => FileUse::Sample { class, subset: Some(Subset::Validation) },
                None => FileUse::Omitted(OmissionReason::Unlabeled),
            },
            // The labels of the test were never published.
            [_, _, ..] => FileUse::Omitted(OmissionReason::Unlabeled),
            _ => beside(file),
        }
    });
    dataset.samples.sort_by_key(|sample| sample.subset);
    let evidence = format!("{VALIDATION}/{ANNOTATIONS} has the labels of {VALIDATION}, as in Tiny ImageNet");
    Ok(dataset.understood(Layout::TinyImagenet, evidence))
}

fn beside(file: &SourceFile) -> FileUse {
    let reason = if file.is_picture() { OmissionReason::OutsideSubsets } else { OmissionReason::OtherFile };
    FileUse::Omitted(reason)
}

/// The folder that holds `train` and `val`.
fn above(tree: &Tree) -> Option<&[String]> {
    tree.files.iter().find_map(|file| match file.parts.split_last_chunk::<2>() {
        Some((above, [folder, name])) if folder == VALIDATION && name == ANNOTATIONS => Some(above),
        _ => None,
    })
}

fn find<'t>(tree: &'t Tree, above: &[String], names: &[&str]) -> Option<&'t SourceFile> {
    tree.files.iter().find(|file| file.parts.strip_prefix(above).is_some_and(|parts| parts == names))
}

fn has_folder(tree: &Tree, above: &[String], id: &str) -> bool {
    tree.folders.iter().any(|folder| folder.strip_prefix(above).is_some_and(|parts| parts == [TRAIN, id]))
}

/// The ids in order.
fn ids(tree: &Tree, above: &[String]) -> Result<Vec<String>, DatasetError> {
    let ids: BTreeSet<String> = match find(tree, above, &[IDS]) {
        Some(file) => text(tree, file)?.split_whitespace().map(str::to_owned).collect(),
        None => {
            let folders = tree.folders.iter().filter_map(|folder| folder.strip_prefix(above));
            folders.filter(|parts| parts.len() == 2 && parts[0] == TRAIN).map(|parts| parts[1].clone()).collect()
        }
    };
    Ok(ids.into_iter().collect())
}

/// The words for each id, or the id itself. Two classes of the same words are told apart by their ids.
fn labels(tree: &Tree, above: &[String], ids: &[String]) -> Result<Labels, DatasetError> {
    let text = match find(tree, above, &[WORDS]) {
        Some(file) => text(tree, file)?,
        None => String::new(),
    };
    let words: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('\t')).map(|(id, words)| (id.trim(), words.trim())).collect();
    let name = |id| words.get(id).copied().filter(|words| !words.is_empty()).unwrap_or(id);
    let names: Vec<&str> = ids.iter().map(|id| name(id.as_str())).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    names.iter().for_each(|&name| *counts.entry(name).or_default() += 1);
    let label = |(id, name): (&String, &&str)| match counts[*name] {
        1 => (*name).to_owned(),
        _ => format!("{name} ({id})"),
    };
    Ok(Labels::new(ids.iter().zip(&names).map(label).collect()))
}

/// The class of each picture in `val`, by its file's name. Lines of other classes or without a picture are faults.
fn annotations(tree: &mut Tree, above: &[String], ids: &[String]) -> Result<HashMap<String, usize>, DatasetError> {
    let Some(file) = find(tree, above, &[VALIDATION, ANNOTATIONS]) else { return Ok(HashMap::new()) };
    let (path, text) = (tree.display_path(file), text(tree, file)?);
    let pictures: BTreeSet<&String> = tree
        .files
        .iter()
        .filter(|file| file.is_picture())
        .filter(|file| file.parts.strip_prefix(above).is_some_and(|parts| parts[0] == VALIDATION))
        .filter_map(|file| file.parts.last())
        .collect();
    let (mut classes, mut faults) = (HashMap::new(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split_whitespace();
        let (name, id) = (fields.next().unwrap_or_default().to_owned(), fields.next().unwrap_or_default());
        match ids.binary_search_by(|known| known.as_str().cmp(id)) {
            Ok(class) if pictures.contains(&name) => {
                classes.insert(name, class);
            }
            Ok(_) => faults.push(format!("line {}: there is no picture `{name}` in {VALIDATION}", number + 1)),
            Err(_) => faults.push(format!("line {}: `{id}` is none of the classes", number + 1)),
        }
    }
    let fault = |reason: String| BadFile { path: path.clone(), reason: format!("{}, {reason}", path.display()) };
    faults.into_iter().for_each(|reason| tree.account.fault(fault(reason)));
    Ok(classes)
}

fn text(tree: &Tree, file: &SourceFile) -> Result<String, DatasetError> {
    String::from_utf8(tree.read(file)?).map_err(|_| DatasetError::TinyImagenet {
        path: tree.display_path(file),
        reason: "it is not UTF-8 text; fetch the published archive".to_owned(),
    })
}

/// Whether this is an id of WordNet, as `n01443537`.
fn is_id(name: &str) -> bool {
    name.strip_prefix('n').is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::testing::{picture, write};
    use crate::data::{DatasetSource, Omission};

    /// Two classes of three pictures, as the published archive has them.
    fn folder(root: &Path) {
        let base = "tiny-imagenet-200";
        let text =
            |name: &str, text: &str| write(root, [(format!("{base}/{name}").as_str(), text.as_bytes().to_vec())]);
        for (at, id) in ["n02124075", "n01443537"].into_iter().enumerate() {
            for number in 0..3 {
                let name = format!("{base}/train/{id}/images/{id}_{number}.JPEG");
                write(root, [(name.as_str(), picture(3 * at + number))]);
            }
            text(&format!("train/{id}/{id}_boxes.txt"), "0\t0\t63\t63\n");
        }
        for number in 0..4 {
            write(root, [(format!("{base}/val/images/val_{number}.JPEG").as_str(), picture(10 + number))]);
            write(root, [(format!("{base}/test/images/test_{number}.JPEG").as_str(), picture(20 + number))]);
        }
        text("wnids.txt", "n02124075\nn01443537\n");
        text("words.txt", "n01443537\tgoldfish, Carassius auratus\nn02124075\tEgyptian cat\nn00001740\tentity\n");
        text(
            "val/val_annotations.txt",
            "val_0.JPEG\tn01443537\t0\t32\t44\t62\nval_1.JPEG\tn02124075\t52\t55\t57\t59\nval_2.JPEG\tn02124075\t4\t0\t60\t55\n",
        );
    }

    fn list(root: &Path) -> Result<Dataset, DatasetError> {
        DatasetSource::new(Layout::Auto, root).list()
    }

    #[test]
    fn val_has_the_labels_of_its_annotations_and_classes_the_names_of_words() {
        let root = tempfile::tempdir().unwrap();
        folder(root.path());
        let dataset = list(root.path()).unwrap();
        assert_eq!(dataset.layout, Layout::TinyImagenet);
        assert_eq!(dataset.labels.names(), ["goldfish, Carassius auratus", "Egyptian cat"]);
        let of = |subset| {
            let samples = dataset.samples.iter().filter(move |sample| sample.subset == Some(subset));
            samples.map(|sample| (sample.path.file_name().unwrap().to_str().unwrap(), sample.class)).collect::<Vec<_>>()
        };
        assert_eq!(of(Subset::Validation), [("val_0.JPEG", 0), ("val_1.JPEG", 1), ("val_2.JPEG", 1)]);
        let train = of(Subset::Train);
        assert_eq!((train[0], train[5]), (("n01443537_0.JPEG", 0), ("n02124075_2.JPEG", 1)));
        let omitted: Vec<_> =
            dataset.account.omissions().into_iter().map(|Omission { reason, count, .. }| (reason, count)).collect();
        assert_eq!(omitted, [(OmissionReason::Unlabeled, 5), (OmissionReason::OtherFile, 2)]);
        assert!(dataset.account.faults().is_empty());
    }

    #[test]
    fn copies_with_more_folders_or_without_the_lists_are_read_too() {
        let root = tempfile::tempdir().unwrap();
        folder(root.path());
        let base = root.path().join("tiny-imagenet-200");
        write(&base, [("train/n09999999/images/a.JPEG", picture(40))]);
        let dataset = list(root.path()).unwrap();
        assert_eq!(dataset.labels.len(), 2, "wnids.txt lists two");
        assert_eq!(dataset.account.omissions()[1].reason, OmissionReason::OtherClass);
        ["wnids.txt", "words.txt"].iter().for_each(|name| std::fs::remove_file(base.join(name)).unwrap());
        assert_eq!(list(&base).unwrap().labels.names(), ["n01443537", "n02124075", "n09999999"]);
    }

    #[test]
    fn lines_without_picture_or_class_are_faults_and_a_class_without_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        folder(root.path());
        let base = root.path().join("tiny-imagenet-200");
        write(
            &base,
            [("val/val_annotations.txt", b"val_0.JPEG\tn01443537\nval_9.JPEG\tn01443537\nval_1.JPEG\tn0\n".to_vec())],
        );
        let faults: Vec<String> =
            list(&base).unwrap().account.faults().iter().map(|fault| fault.reason.clone()).collect();
        assert!(
            faults[0].ends_with("val_annotations.txt, line 2: there is no picture `val_9.JPEG` in val"),
            "{faults:?}"
        );
        assert!(faults[1].ends_with("line 3: `n0` is none of the classes"), "{faults:?}");
        write(&base, [("wnids.txt", b"n02124075\nn01443537\nn07747607\n".to_vec())]);
        let refused = list(&base).unwrap_err().to_string();
        assert!(
            refused.contains("wnids.txt lists 1 class(es) that have no folder in train, such as `n07747607`"),
            "{refused}"
        );
    }

    #[test]
    fn classes_of_the_same_words_are_told_apart_by_their_ids() {
        let root = tempfile::tempdir().unwrap();
        folder(root.path());
        write(root.path(), [("tiny-imagenet-200/words.txt", b"n01443537\tcrane\nn02124075\tcrane\n".to_vec())]);
        assert_eq!(list(root.path()).unwrap().labels.names(), ["crane (n01443537)", "crane (n02124075)"]);
    }
}
