//! Recognizes formats by their first bytes.

use std::fmt::{self, Display, Formatter};

/// A supported format of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsFormat {
    /// A JSON header and the numbers.
    Safetensors,
    /// What `torch.save` writes since PyTorch 1.6: a zip archive with a pickle and a member for each storage.
    PyTorch,
    /// What `torch.save` wrote before: pickles one after another and the storages behind them.
    PyTorchLegacy,
    /// HDF5 as Keras writes it: weights (`.h5`, `.weights.h5`) or a whole model (`.h5`).
    Keras,
    /// Keras 3's `.keras`: a zip archive with such an HDF5 file inside.
    KerasArchive,
}

impl WeightsFormat {
    /// The format of a file, or of the beginning of one; `None` if it is not supported.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<WeightsFormat> {
        match bytes {
            [b'P', b'K', 3, 4, ..] if KERAS_MEMBERS.contains(&first_member(bytes)) => Some(WeightsFormat::KerasArchive),
            // The second is an archive without members.
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(WeightsFormat::PyTorch),
            [0x80, 2..=5, ..] => Some(WeightsFormat::PyTorchLegacy),
            _ if is_safetensors(bytes) => Some(WeightsFormat::Safetensors),
            // Last, since it need not be at the beginning: an archive may have such a file inside.
            _ if is_hdf5(bytes) => Some(WeightsFormat::Keras),
            _ => None,
        }
    }
}

impl Display for WeightsFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WeightsFormat::Safetensors => "safetensors",
            WeightsFormat::PyTorch => "PyTorch",
            WeightsFormat::PyTorchLegacy => "PyTorch (before 1.6)",
            WeightsFormat::Keras => "Keras HDF5",
            WeightsFormat::KerasArchive => "Keras archive",
        })
    }
}

/// The names of a `.keras` archive's first member. A PyTorch archive begins with a member in a folder.
const KERAS_MEMBERS: [&[u8]; 3] = [b"metadata.json", b"config.json", b"model.weights.h5"];

/// The largest header of a safetensors file, by its specification.
const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// Files that people mistake for weights: the signature, its offset, and the format's name for the message.
const OTHERS: [(usize, &[u8], &str); 13] = [
    (257, b"ustar", "a tar archive; if PyTorch 0.1 wrote it, load it there and save its `state_dict()` again"),
    (0, b"\x1f\x8b", "a gzip file; unpack it first"),
    (0, b"version https://git-lfs", "a Git LFS pointer and not the file itself; fetch it with `git lfs pull`"),
    (0, b"<", "a web page and not the file behind its address"),
    (0, b"\n<", "a web page and not the file behind its address"),
    (0, b"{", "JSON text, perhaps the index of a model in several files, of which each must be one of its own"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (0, b"Rar!", "a RAR archive; unpack it first"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
];

/// The name of the unsupported format that a file seems to have.
pub(super) fn describe(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "an empty file";
    }
    // An ONNX file is a protobuf message whose first field is a small version number, followed by a string.
    if let [0x08, 1..=20, 0x12, ..] = bytes {
        return "an ONNX network and not weights alone";
    }
    OTHERS
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map_or("no file of a known format", |(_, _, name)| name)
}

/// HDF5's signature is at the beginning, or after a user block whose size is a power of two.
fn is_hdf5(bytes: &[u8]) -> bool {
    let places = std::iter::successors(Some(512usize), |at| at.checked_mul(2)).take_while(|at| *at < bytes.len());
    std::iter::once(0).chain(places).any(|at| bytes[at..].starts_with(b"\x89HDF\r\n\x1a\n"))
}

fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, header)) = bytes.split_first_chunk::<8>() else { return false };
    header.starts_with(b"{") && (2..=MAX_SAFETENSORS_HEADER).contains(&u64::from_le_bytes(*length))
}

/// The name in the first local header of a zip archive.
fn first_member(bytes: &[u8]) -> &[u8] {
    let Some(&[low, high]) = bytes.get(26..28) else { return &[] };
    bytes.get(30..30 + usize::from(u16::from_le_bytes([low, high]))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_called_by_its_name() {
        for (bytes, name) in [
            (&b""[..], "an empty file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS pointer"),
            (b"<!DOCTYPE html>", "web page"),
            (b"\x08\x08\x12\x07pytorch", "ONNX"),
            (b"anything else", "no file of a known format"),
        ] {
            assert_eq!(WeightsFormat::sniff(bytes), None);
            assert!(describe(bytes).contains(name), "{name}");
        }
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(WeightsFormat::sniff(&tar), None);
        assert!(describe(&tar).contains("tar"));
    }

    #[test]
    fn hdf5_may_stand_behind_a_block_of_the_users() {
        let mut bytes = vec![0; 2048];
        bytes.extend(b"\x89HDF\r\n\x1a\n");
        assert_eq!(WeightsFormat::sniff(&bytes), Some(WeightsFormat::Keras));
        bytes.insert(0, 0);
        assert_eq!(WeightsFormat::sniff(&bytes), None);
    }
}
