//! Which column of a table holds what.

use csv::StringRecord;

use crate::data::text::normalized;

/// What a header may call the column of paths, the clearest name first. Spaces and hyphens count as underscores.
pub(super) const PATHS: [&str; 30] = [
    "path",
    "paths",
    "file_path",
    "filepath",
    "file_paths",
    "filepaths",
    "image_path",
    "imagepath",
    "img_path",
    "filename",
    "file_name",
    "filenames",
    "file_names",
    "fname",
    "file",
    "files",
    "image_file",
    "image_name",
    "imagename",
    "img_name",
    "image",
    "images",
    "img",
    "picture",
    "photo",
    "image_id",
    "img_id",
    "photo_id",
    "name",
    "id",
];
/// What a header may call the column of labels.
pub(super) const LABELS: [&str; 22] = [
    "label",
    "labels",
    "tags",
    "finding_labels",
    "class",
    "class_name",
    "classname",
    "category",
    "category_name",
    "target",
    "species",
    "breed",
    "diagnosis",
    "dx",
    "classes",
    "categories",
    "label_name",
    "y",
    "class_id",
    "classid",
    "label_id",
    "category_id",
];
/// What a header may call the column of subsets.
pub(super) const SUBSETS: [&str; 9] =
    ["split", "subset", "set", "part", "data_set", "dataset", "partition", "phase", "usage"];

/// Which column holds what, counted from zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) labels: LabelColumns,
    pub(super) subset: Option<usize>,
}

/// Where the classes of an image are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelColumns {
    /// In one column, by name.
    Named(usize),
    /// In a column for each class, of 0 and 1.
    Each(Vec<(usize, String)>),
}

impl Columns {
    /// `path,label[,split]`, without a header.
    pub(super) fn plain() -> Self {
        Self { path: 0, labels: LabelColumns::Named(1), subset: Some(2) }
    }

    /// By a header that names both a path and a label.
    pub(super) fn named(header: &StringRecord) -> Option<Self> {
        let path = position(header, &PATHS)?;
        let label = position(header, &LABELS).filter(|&label| label != path)?;
        let subset = position(header, &SUBSETS).filter(|&subset| subset != path && subset != label);
        Some(Self { path, labels: LabelColumns::Named(label), subset })
    }

    /// By a header with a column for each class, as Roboflow's `_classes.csv`: beside a path and perhaps a subset the rows hold
    /// nothing but 0 and 1, in two columns at least.
    pub(super) fn each(header: &StringRecord, rows: &[StringRecord], is_file: impl Fn(&str) -> bool) -> Option<Self> {
        let files = |column: usize| rows.iter().filter(|row| row.get(column).is_some_and(&is_file)).count();
        let path = (0..header.len()).find(|&column| files(column) > 0)?;
        let subset = position(header, &SUBSETS).filter(|&subset| subset != path);
        let of_class = |column: &usize| *column != path && Some(*column) != subset;
        let classes: Vec<(usize, String)> = (0..header.len())
            .filter(of_class)
            .map(|column| (column, normalized(header.get(column).unwrap_or_default())))
            .collect();
        let bits = |row: &StringRecord| classes.iter().all(|(column, _)| row.get(*column).and_then(bit).is_some());
        let named = classes.iter().all(|(_, class)| !class.is_empty());
        let understood = classes.len() > 1 && named && rows.iter().all(bits);
        understood.then_some(Self { path, labels: LabelColumns::Each(classes), subset })
    }

    /// By the rows below a header of unknown names: the column of paths is the one whose values are files, and that of
    /// labels is named so, or the only other one.
    pub(super) fn by_rows(
        header: &StringRecord,
        rows: &[StringRecord],
        is_file: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let files = |column: usize| rows.iter().filter(|row| row.get(column).is_some_and(&is_file)).count();
        let path = (0..header.len()).find(|&column| files(column) * 2 > rows.len())?;
        let label = position(header, &LABELS).or((header.len() == 2).then_some(1 - path.min(1)));
        let label = label.filter(|&label| label != path)?;
        Some(Self { path, labels: LabelColumns::Named(label), subset: position(header, &SUBSETS) })
    }
}

/// Whether a field says that an image is of a class.
pub(super) fn bit(field: &str) -> Option<bool> {
    match field.to_ascii_lowercase().as_str() {
        "0" | "0.0" | "false" => Some(false),
        "1" | "1.0" | "true" => Some(true),
        _ => None,
    }
}

/// The column with the clearest of these names.
fn position(header: &StringRecord, names: &[&str]) -> Option<usize> {
    let plain = |field: &str| field.trim().to_lowercase().replace([' ', '-'], "_");
    names.iter().find_map(|name| header.iter().position(|field| plain(field) == *name))
}
