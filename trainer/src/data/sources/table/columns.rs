//! Which column of a table holds what.

use csv::StringRecord;

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
pub(super) const LABELS: [&str; 20] = [
    "label",
    "labels",
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) label: usize,
    pub(super) subset: Option<usize>,
}

impl Columns {
    /// `path,label[,split]`, without a header.
    pub(super) const PLAIN: Self = Self { path: 0, label: 1, subset: Some(2) };

    /// By a header that names both a path and a label.
    pub(super) fn named(header: &StringRecord) -> Option<Self> {
        let path = position(header, &PATHS)?;
        let label = position(header, &LABELS).filter(|&label| label != path)?;
        let subset = position(header, &SUBSETS).filter(|&subset| subset != path && subset != label);
        Some(Self { path, label, subset })
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
        Some(Self { path, label, subset: position(header, &SUBSETS) })
    }
}

/// Whether a header has a column for each class, as Roboflow's `_classes.csv`: the rows hold nothing but 0 and 1 behind the
/// path, and there are several such columns.
pub(super) fn is_multi_label(rows: &[StringRecord]) -> bool {
    let bits = |row: &StringRecord| row.len() > 2 && row.iter().skip(1).all(|field| matches!(field, "0" | "1"));
    !rows.is_empty() && rows.iter().all(bits)
}

/// The column with the clearest of these names.
fn position(header: &StringRecord, names: &[&str]) -> Option<usize> {
    let plain = |field: &str| field.trim().to_lowercase().replace([' ', '-'], "_");
    names.iter().find_map(|name| header.iter().position(|field| plain(field) == *name))
}
