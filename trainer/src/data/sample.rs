//! One image of a data set.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use models::preprocess::{ImageError, Limits, Preprocess, RgbImage, decode, probe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::IMAGE_BYTES;
use super::sources::content::Content;
use super::split::Subset;
use super::{DatasetError, FileAccess};

/// One image file, wherever its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file; of a member of an archive, the archive's path and its name in it.
    pub path: PathBuf,
    /// The class number, an index into the labels. Where images may have several classes it is the number of their set: see
    /// [`LabelSets`](super::LabelSets).
    pub class: usize,
    /// The subset that the data set puts it in, if it does.
    pub subset: Option<Subset>,
    content: Content,
    stored: Option<Checksum>,
}

/// What an image is called where people read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Its path below the data set's folder.
    pub image: String,
    /// Its id, if it is of a stored data set.
    pub id: Option<Checksum>,
}

impl From<String> for ImageName {
    fn from(image: String) -> Self {
        Self { image, id: None }
    }
}

/// An image and the names of what it shows.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// The image, whose own class is a number in its data set.
    pub sample: Sample,
    /// Its class, or its classes where it may have several.
    pub classes: Vec<String>,
}

impl Sample {
    pub(super) fn new(path: PathBuf, class: usize, content: Content) -> Self {
        Self { path, class, subset: None, content, stored: None }
    }

    /// The same image in a subset.
    #[must_use]
    pub fn within(self, subset: Option<Subset>) -> Self {
        Self { subset, ..self }
    }

    /// The same image, which a stored data set has under this checksum.
    pub(super) fn stored_as(self, checksum: Checksum) -> Self {
        Self { stored: Some(checksum), ..self }
    }

    /// Its id, if it is of a stored data set.
    #[must_use]
    pub fn stored_id(&self) -> Option<Checksum> {
        self.stored
    }

    /// A file on disk, read with the rights of this process.
    #[must_use]
    pub fn file(path: PathBuf, class: usize) -> Self {
        let content = Content::File(FileAccess::Everywhere.file(path.clone()));
        Self::new(path, class, content)
    }

    /// Its path below a folder, or all of it where it is not there.
    #[must_use]
    pub fn name_below(&self, folder: &Path) -> String {
        self.path.strip_prefix(folder).unwrap_or(&self.path).display().to_string()
    }

    /// What it is called in a data set of this folder.
    #[must_use]
    pub fn named_below(&self, folder: &Path) -> ImageName {
        ImageName { image: self.name_below(folder), id: self.stored }
    }

    /// Reads the file and looks at its header: that it is an image, and not too large.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file.
    pub fn read(&self, limits: &Limits) -> Result<Vec<u8>, DatasetError> {
        let failed = |source| DatasetError::read(&self.path, source);
        let bytes = self.content.read(IMAGE_BYTES).map_err(failed)?;
        probe(&bytes, limits).map_err(|source| DatasetError::image(&self.path, source))?;
        Ok(bytes)
    }

    /// Reads and decodes the file with the shared decoder.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file.
    pub fn decode(&self, limits: &Limits) -> Result<RgbImage, DatasetError> {
        let bytes = self.read(limits)?;
        decode(&bytes, limits).map_err(|source: ImageError| DatasetError::image(&self.path, source))
    }

    /// Reads and decodes the file for a network, as the server does.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file.
    pub fn decode_for(&self, preprocess: &Preprocess, limits: &Limits) -> Result<RgbImage, DatasetError> {
        let bytes = self.read(limits)?;
        preprocess.decode(&bytes, limits).map_err(|source| DatasetError::image(&self.path, source))
    }
}

/// The checksum of a file's content; as text, 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// A text that is no checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256: 64 hexadecimal digits in lower case")]
pub struct InvalidChecksum(String);

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Checksum {
    type Err = InvalidChecksum;

    fn from_str(text: &str) -> Result<Self, InvalidChecksum> {
        let mut bytes = [0; 32];
        let invalid = |_| InvalidChecksum(text.to_owned());
        hex::decode_to_slice(text, &mut bytes).map_err(invalid)?;
        let checksum = Self(bytes);
        // `hex` reads capitals too, and one checksum must have one name.
        if checksum.to_string() == text { Ok(checksum) } else { Err(InvalidChecksum(text.to_owned())) }
    }
}

impl TryFrom<String> for Checksum {
    type Error = InvalidChecksum;

    fn try_from(text: String) -> Result<Self, InvalidChecksum> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}
