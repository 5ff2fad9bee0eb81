//! Models that clients upload: what is to be imported, and the folders of the files.
//!
//! An import is a job ([`crate::jobs`]): a model file is untrusted input, and reading one takes as much memory as it is large, so
//! that a process of its own does it. Its rules are those of `graft import`, because it is that command's code which runs.
//!
//! The files of an upload lie in a folder that its request owns until the job is written down, and the job from then on. What
//! nobody owns is removed ([`ImportFolders::keep_clean`]): after a job, whatever its end, and after a crash.

mod folder;
mod leftovers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trainer::events::Observer;
use utoipa::ToSchema;

use crate::failure::{STORAGE_FULL, STORE_FAILED};
use crate::store::{JobOrigin, ModelName};
pub use folder::{ImportFolders, IncomingFile, IncomingFolder};

/// What is to be imported, in the job database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// The name in the store.
    pub name: ModelName,
    /// The files: first the model's, then those that it keeps its weights in.
    pub files: Vec<UploadedFile>,
    /// The file of class names, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<UploadedFile>,
    /// Options of `graft import` and their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<ImportOption, String>,
    /// The name of the folder that the files are in.
    pub folder: String,
}

impl ImportSpec {
    /// Whether this is the import that a request asks for: the same files, wherever they lie.
    #[must_use]
    pub fn answers(&self, asked: &Self) -> bool {
        *self == Self { folder: self.folder.clone(), ..asked.clone() }
    }
}

/// A file that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadedFile {
    /// Its name, without folders.
    #[schema(example = "flowers.onnx")]
    pub name: String,
    /// Its length in bytes.
    #[schema(example = 4_962_139)]
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal digits.
    #[schema(example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    pub sha256: String,
}

macro_rules! options {
    ($($variant:ident: $name:literal, $flag:literal;)*) => {
        /// An option of `graft import` that a client may choose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ImportOption {
            $(#[doc = $flag] #[serde(rename = $name)] $variant,)*
        }

        impl ImportOption {
            /// Every option, in the order of the command's help.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in forms.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its name on the command line.
            #[must_use]
            pub fn flag(self) -> &'static str {
                match self { $(Self::$variant => $flag,)* }
            }
        }
    };
}

options! {
    Preprocess: "preprocess", "--preprocess";
    Resize: "resize", "--resize";
    Crop: "crop", "--crop";
    Filter: "filter", "--filter";
    Mean: "mean", "--mean";
    Std: "std", "--std";
    PixelMax: "pixel_max", "--pixel-max";
    ChannelOrder: "channel_order", "--channel-order";
    Size: "size", "--size";
    Output: "output", "--output";
    Activation: "activation", "--activation";
    Arch: "arch", "--arch";
}

/// The last line of `graft import --json`, and what a job's import ends in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// The model's name.
    pub name: ModelName,
    /// The new version.
    pub version: u32,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportFailure {
    /// It was told to stop.
    #[error("the import was told to stop")]
    Stopped,
    /// The file, an option or the class names are at fault.
    #[error("{0}")]
    Refused(String),
    /// The disk is full.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The store failed otherwise.
    #[error("{0}")]
    Store(String),
}

impl ImportFailure {
    /// The code of a model that cannot be imported.
    pub const REFUSED: &'static str = "model_refused";

    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Refused(_) => Self::REFUSED,
            Self::Full(_) => STORAGE_FULL,
            Self::Store(_) => STORE_FAILED,
        }
    }
}

/// Runs an import for an attempt of a job: events are remarks, and the version is published once.
pub type RunImport<'a> = &'a dyn Fn(&ImportSpec, JobOrigin, &mut dyn Observer) -> Result<ImportSummary, ImportFailure>;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn import(name: &str, folder: &str) -> ImportSpec {
        let file = |name: &str| UploadedFile { name: name.to_owned(), bytes: 3, sha256: "00".repeat(32) };
        ImportSpec {
            name: name.parse().unwrap(),
            files: vec![file("model.onnx")],
            labels: Some(file("labels.txt")),
            options: BTreeMap::from([(ImportOption::PixelMax, "255".to_owned())]),
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn the_same_files_are_the_same_import_wherever_they_lie() {
        let own = import("flowers", "upload-a");
        assert!(own.answers(&import("flowers", "upload-b")));
        assert!(!own.answers(&import("birds", "upload-a")));
        let mut other = import("flowers", "upload-a");
        other.files[0].sha256 = "11".repeat(32);
        assert!(!own.answers(&other), "another content under the same name");
        assert!(!own.answers(&ImportSpec { options: BTreeMap::new(), ..import("flowers", "upload-a") }));
    }

    #[test]
    fn options_are_written_with_the_names_of_forms() {
        let text = serde_json::to_string(&import("flowers", "upload-a")).unwrap();
        assert!(text.contains(r#""options":{"pixel_max":"255"}"#), "{text}");
        assert_eq!(serde_json::from_str::<ImportSpec>(&text).unwrap(), import("flowers", "upload-a"));
    }
}
