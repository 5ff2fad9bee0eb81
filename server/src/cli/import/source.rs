//! The file that is imported: read once, and judged by its content.

use std::io;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use models::Network;
use models::weights::{self, SafetensorsError, StateDict, WeightsError, WeightsFormat};
use onnx::{FileError, ModelFile};
use sha2::{Digest, Sha256};

/// What a file is.
pub(in crate::cli) enum Source {
    /// A network.
    Onnx(Box<ModelFile>),
    /// Weights with their network, as graft keeps them.
    Network(Box<Network>),
    /// Weights without a network.
    Weights(WeightsFile),
}

/// A state dict, which says nothing about the network that it is of.
pub(in crate::cli) struct WeightsFile {
    pub(in crate::cli) state: StateDict,
    /// Of the file, in lower-case hexadecimal; published files are known by it.
    pub(in crate::cli) sha256: String,
}

/// What no reader here takes: a protobuf message has its length in one number of 31 bits.
const LARGEST: u64 = (1 << 31) - 1;

impl Source {
    /// Reads a file, and the files beside it that an ONNX model keeps its weights in.
    pub(in crate::cli) fn open(path: &Path) -> Result<Self> {
        let path_text = || path.display().to_string();
        let bytes = read(path).with_context(path_text)?;
        // Formats of weights begin with marks of their own; ONNX files have none.
        match WeightsFormat::sniff(&bytes) {
            Some(WeightsFormat::Safetensors) => match weights::read_network(&bytes) {
                Ok(network) => return Ok(Self::Network(Box::new(network))),
                Err(SafetensorsError::NoNetwork(_)) => {}
                Err(error) => return Err(error).with_context(path_text),
            },
            Some(_) => {}
            None => return Self::onnx(path, bytes).with_context(path_text),
        }
        Ok(Self::Weights(WeightsFile::read(bytes).with_context(path_text)?))
    }

    fn onnx(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut beside = |location: &str| read_beside(folder, location);
        let bytes = bytes::Bytes::from(bytes);
        match ModelFile::decode_with(bytes.clone(), &mut beside) {
            Ok(file) => Ok(Self::Onnx(Box::new(file))),
            // Another kind of file is called by its name.
            Err(error @ (FileError::Decode | FileError::NoGraph)) => match weights::read(bytes.to_vec()) {
                Err(WeightsError::Format { found }) => bail!("{error}; this is {found}"),
                _ => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

impl WeightsFile {
    pub(in crate::cli) fn read(bytes: Vec<u8>) -> Result<Self> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(Self { state: weights::read(bytes)?, sha256 })
    }
}

/// A file in the model's own folder or below it: a model must not make graft read anything else.
pub(in crate::cli) fn read_beside(folder: &Path, location: &str) -> io::Result<bytes::Bytes> {
    let relative = Path::new(location);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !inside {
        return Err(io::Error::other("it is not in the model's folder"));
    }
    read(&folder.join(relative)).map(Into::into)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = path.metadata()?.len();
    if length > LARGEST {
        return Err(io::Error::other(format!("it has {length} bytes; files of up to 2 GB are read")));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use fixtures::words::foreign_words;

    use super::*;

    #[test]
    fn only_files_of_the_models_own_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("model")).unwrap();
        std::fs::write(folder.path().join("secret"), b"x").unwrap();
        std::fs::write(folder.path().join("model/w.bin"), b"weights").unwrap();
        let read = |location: &str| read_beside(&folder.path().join("model"), location);
        assert_eq!(read("w.bin").unwrap().as_ref(), b"weights");
        assert_eq!(read("./w.bin").unwrap().as_ref(), b"weights");
        let absolute = folder.path().join("secret").display().to_string();
        for location in ["", "../secret", "a/../../secret", absolute.as_str(), "missing"] {
            let error = read(location).unwrap_err();
            let outside = error.to_string() == "it is not in the model's folder";
            assert!(outside || error.kind() == io::ErrorKind::NotFound && location == "missing", "{location}: {error}");
        }
    }

    fn safetensors(header: &str) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
    }

    /// An ONNX file with this entry among its metadata, and an empty graph.
    fn onnx(key: &str, value: &str) -> Vec<u8> {
        let field = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
        let entry = [field(0x0a, key.as_bytes()), field(0x12, value.as_bytes())].concat();
        [field(0x3a, &[]), field(0x72, &entry)].concat()
    }

    #[test]
    fn damaged_files_are_refused_in_our_words() {
        let record = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let metadata = r#"{"__metadata__":{"graft.graph.v1":"{","graft.spec.v1":"{"},"#;
        let graph = format!("{metadata}{}", &record[1..]);
        for (name, bytes, expected) in [
            ("empty", vec![], "this is an empty file"),
            ("text", b"hello, world".to_vec(), "not an ONNX file, or a truncated one"),
            ("page", b"<!DOCTYPE html>".to_vec(), "a web page"),
            ("picture", b"\x89PNG\r\n\x1a\n".to_vec(), "this is a picture"),
            ("gzip", b"\x1f\x8b\x08\0\0".to_vec(), "a gzip file; unpack it first"),
            ("pointer", b"version https://git-lfs.github.com/spec/v1".to_vec(), "a Git LFS pointer"),
            ("cut safetensors", safetensors(record)[..30].to_vec(), "the safetensors file is damaged or cut off"),
            ("long header", safetensors(&format!("{record:200}x")), "the safetensors file is damaged or cut off"),
            ("bad graph", safetensors(&graph), "the file's graph or spec is damaged"),
            ("zip", b"PK\x03\x04 and no archive".to_vec(), "the zip archive is damaged or cut off"),
            ("pickle", b"\x80\x02\xff".to_vec(), "byte 2 of the pickle"),
            ("cut pickle", b"\x80\x02X".to_vec(), "the file ends in the middle of its pickle"),
            ("hdf5", [b"\x89HDF\r\n\x1a\n".to_vec(), vec![7; 64]].concat(), "the HDF5 file is damaged or cut off"),
        ] {
            let error = read_file(&bytes).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
            assert_eq!(foreign_words(&error), [""; 0], "{name}: {error}");
        }
    }

    #[test]
    fn damaged_metadata_is_refused_in_our_words() {
        for (key, value, expected) in [
            ("graft.spec.v1", "{", "the file's metadata under `graft.spec.v1` is damaged"),
            ("graft.spec.v1", r#"{"architecture": 7}"#, "the file's metadata under `graft.spec.v1` is damaged"),
            ("graft.spec.v9", "{}", "upgrade graft"),
        ] {
            let error = onnx::metadata::spec(&onnx(key, value)).unwrap_err();
            let error = server::failure::chain(&error);
            assert!(error.contains(expected), "{key}: {error}");
            assert_eq!(foreign_words(&error), [""; 0], "{key}: {error}");
        }
    }

    /// The error of a file with this content, with its causes.
    fn read_file(bytes: &[u8]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        Source::open(&path).map(drop).map_err(|error| server::failure::chain(error.as_ref()))
    }
}
