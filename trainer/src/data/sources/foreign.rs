//! Files of data sets that are made for something else, to say so by name.

use super::tree::Tree;

/// A way to recognize a file.
enum Mark {
    /// The file's whole name.
    Name(&'static str),
    /// The end of its name.
    Ending(&'static str),
    /// The beginning of its name.
    Beginning(&'static str),
}

/// What such files are. graft reads none of them.
const FORMATS: &[(Mark, &str)] = &[
    (Mark::Ending("_annotations.coco.json"), "COCO annotations for detection"),
    (Mark::Beginning("instances_"), "COCO annotations for detection"),
    (Mark::Name("_annotations.csv"), "bounding boxes for detection"),
    (Mark::Name("data.yaml"), "a YOLO data set for detection"),
    (Mark::Name("obj.names"), "a Darknet data set for detection"),
    (Mark::Name("labelmap.txt"), "a CVAT data set for segmentation"),
    (Mark::Ending(".tfrecord"), "TensorFlow records"),
    (Mark::Ending(".parquet"), "a Parquet file"),
    (Mark::Ending(".arrow"), "an Arrow file"),
    (Mark::Name("data.mdb"), "an LMDB database"),
    (Mark::Ending(".npz"), "NumPy arrays"),
    (Mark::Ending(".npy"), "NumPy arrays"),
    (Mark::Ending("-idx3-ubyte"), "MNIST's arrays of pictures"),
    (Mark::Ending("-idx3-ubyte.gz"), "MNIST's arrays of pictures"),
    // As some archives have them.
    (Mark::Ending(".idx3-ubyte"), "MNIST's arrays of pictures"),
    (Mark::Ending("-idx1-ubyte"), "MNIST's array of labels"),
    (Mark::Ending("-idx1-ubyte.gz"), "MNIST's array of labels"),
    (Mark::Ending(".idx1-ubyte"), "MNIST's array of labels"),
    (Mark::Ending(".mat"), "MATLAB arrays"),
    (Mark::Ending(".h5"), "an HDF5 file"),
    (Mark::Ending(".rec"), "MXNet records"),
    (Mark::Ending(".xml"), "VOC annotations for detection"),
];

/// What the files of a tree are, each format once, as sentences.
pub(super) fn found(tree: &Tree) -> Vec<String> {
    let format = |(mark, what): &(Mark, &str)| {
        let file = tree.files.iter().find(|file| mark.is_on(file.name()))?;
        Some(sentence(&file.parts.join("/"), what))
    };
    FORMATS.iter().filter_map(format).collect()
}

/// What a file of this name is, as a sentence.
pub(super) fn of_name(name: &str) -> Option<String> {
    FORMATS.iter().find(|(mark, _)| mark.is_on(name)).map(|(_, what)| sentence(name, what))
}

fn sentence(name: &str, what: &str) -> String {
    format!(
        "`{name}` is {what}, which graft does not read: save the pictures as PNG or JPEG files, in a folder for each class"
    )
}

impl Mark {
    fn is_on(&self, name: &str) -> bool {
        match self {
            Mark::Name(whole) => name == *whole,
            Mark::Ending(end) => name.ends_with(end),
            Mark::Beginning(begin) => name.starts_with(begin),
        }
    }
}
