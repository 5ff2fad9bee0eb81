//! Features of images, computed once and kept on disk.
//!
//! A cache belongs to one frozen network with its preprocessing; an entry is found by the checksum of the image file. So
//! a second run with other options, a retried job or a data set with some new pictures computes only what is new.
//! Entries are appended as small files, each written under a temporary name first: a killed run loses no finished file.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use models::files::{ABANDONED, remove_abandoned, write_atomically};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::data::Checksum;
use crate::data::augment::View;
use crate::identity::{Identity, IdentityError};

/// The ending of a finished file.
const ENDING: &str = "safetensors";

/// Names one view of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The plain view has the image's own checksum.
    ///
    /// # Errors
    /// [`IdentityError`] if the view has no canonical form.
    pub fn new(image: &Checksum, view: View) -> Result<Self, IdentityError> {
        match view {
            View::Plain => Ok(Self(image.0)),
            view => {
                let identity = Identity::new("graft.view", 1).with("image", hex::encode(image.0)).with("view", view);
                Ok(Self(Sha256::digest(identity.sha256()?).into()))
            }
        }
    }
}

/// The features of images under one frozen network.
#[derive(Debug)]
pub struct FeatureCache {
    folder: PathBuf,
    width: usize,
    known: HashMap<CacheKey, Vec<f32>>,
    fresh: Vec<CacheKey>,
}

/// The feature cache cannot be written.
#[derive(Debug, Error)]
#[error("cannot write the feature cache {path}: {source}")]
pub struct CacheError {
    path: PathBuf,
    source: io::Error,
}

impl FeatureCache {
    /// The cache of one frozen network, in the folder of this identity below `root`; `width` is how many numbers an image
    /// has. A damaged file is ignored, and its features are computed again.
    ///
    /// # Errors
    /// [`CacheError`] when the folder cannot be made.
    pub fn open(root: &Path, identity: &str, width: usize) -> Result<Self, CacheError> {
        let folder = root.join(identity);
        let failed = |source| CacheError { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        remove_abandoned(&folder, ABANDONED).map_err(failed)?;
        let mut known = HashMap::new();
        for entry in fs::read_dir(&folder).map_err(failed)?.filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                known.extend(read(&path, width).into_iter().flatten());
            }
        }
        Ok(Self { folder, width, known, fresh: Vec::new() })
    }

    /// The features of an image, `[width]`.
    #[must_use]
    pub fn get(&self, image: &CacheKey) -> Option<&[f32]> {
        self.known.get(image).map(Vec::as_slice)
    }

    /// Adds the features of an image; [`FeatureCache::flush`] keeps them.
    pub fn insert(&mut self, image: CacheKey, features: &[f32]) {
        if self.known.insert(image, features.to_vec()).is_none() {
            self.fresh.push(image);
        }
    }

    /// Writes what was added since the last time.
    ///
    /// # Errors
    /// [`CacheError`] when the disk refuses.
    pub fn flush(&mut self) -> Result<(), CacheError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let images: Vec<u8> = self.fresh.iter().flat_map(|image| image.0).collect();
        let features = self.fresh.iter().filter_map(|image| self.known.get(image)).flatten();
        let features: Vec<u8> = features.flat_map(|number| number.to_le_bytes()).collect();
        let path = self.folder.join(format!("{}.{ENDING}", hex::encode(&Sha256::digest(&images)[..8])));
        write(&path, self.fresh.len(), &images, &features).map_err(|source| CacheError { path, source })?;
        self.fresh.clear();
        Ok(())
    }

    /// Numbers an image.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }
}

/// Two tensors: `images` of `[n, 32]` bytes and `features` of `[n, width]`.
fn write(path: &Path, n: usize, images: &[u8], features: &[u8]) -> io::Result<()> {
    let width = features.len() / 4 / n;
    let tensors = [
        ("images", TensorView::new(Dtype::U8, vec![n, 32], images).map_err(io::Error::other)?),
        ("features", TensorView::new(Dtype::F32, vec![n, width], features).map_err(io::Error::other)?),
    ];
    let bytes = serialize(tensors, None).map_err(io::Error::other)?;
    write_atomically(path, &bytes)
}

fn read(path: &Path, width: usize) -> Option<Vec<(CacheKey, Vec<f32>)>> {
    let bytes = fs::read(path).ok()?;
    let file = SafeTensors::deserialize(&bytes).ok()?;
    let (images, features) = (file.tensor("images").ok()?, file.tensor("features").ok()?);
    let n = images.data().len() / 32;
    if images.dtype() != Dtype::U8 || features.dtype() != Dtype::F32 || features.shape() != [n, width] {
        return None;
    }
    let numbers: Vec<f32> = features.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let images = images.data().as_chunks::<32>().0.iter().map(|bytes| CacheKey(*bytes));
    Some(images.zip(numbers.chunks(width).map(<[f32]>::to_vec)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_survive_the_process_and_belong_to_one_network() {
        let root = tempfile::tempdir().unwrap();
        let key = |bytes: &[u8]| CacheKey::new(&Checksum::of(bytes), View::Plain).unwrap();
        let image = key(b"a photograph");
        let mut cache = FeatureCache::open(root.path(), "network", 2).unwrap();
        cache.insert(image, &[1.0, -2.5]);
        cache.flush().unwrap();
        cache.insert(key(b"lost"), &[0.0, 0.0]);
        drop(cache);
        let again = FeatureCache::open(root.path(), "network", 2).unwrap();
        assert_eq!(again.get(&image), Some(&[1.0, -2.5][..]));
        assert_eq!(again.get(&key(b"lost")), None);
        assert_eq!(FeatureCache::open(root.path(), "another network", 2).unwrap().get(&image), None);
    }

    #[test]
    fn a_damaged_file_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = FeatureCache::open(root.path(), "network", 1).unwrap();
        let key = |bytes: &[u8]| CacheKey::new(&Checksum::of(bytes), View::Plain).unwrap();
        for image in [b"a", b"b"] {
            cache.insert(key(image), &[1.0]);
            cache.flush().unwrap();
        }
        let files: Vec<_> = fs::read_dir(&cache.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        let bytes = fs::read(&files[0]).unwrap();
        fs::write(&files[0], &bytes[..bytes.len() - 1]).unwrap();
        let again = FeatureCache::open(root.path(), "network", 1).unwrap();
        let found = [b"a", b"b"].iter().filter(|image| again.get(&key(**image)).is_some()).count();
        assert_eq!(found, 1);
    }

    #[test]
    fn each_view_of_an_image_has_a_key_that_stays_the_same() {
        let image = Checksum::of(b"a photograph");
        let keys = [View::Plain, View::Mirrored, View::Crop(0), View::Crop(1)]
            .map(|view| hex::encode(&CacheKey::new(&image, view).unwrap().0[..4]));
        assert_eq!(keys, ["a249e87e", "ddada122", "65484091", "758d901a"]);
    }
}
