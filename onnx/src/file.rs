//! A decoded ONNX file, whether or not graft can parse its network.

use std::collections::{BTreeMap, HashMap};
use std::io;

use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use crate::order::{self, NodeCycle};
use crate::proto::{AttributeProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};

/// Reads a file beside the model, by the relative name that the model gives it.
pub type ReadExternal<'a> = &'a mut dyn FnMut(&str) -> io::Result<Bytes>;

/// A decoded ONNX file with all weights in memory.
#[derive(Debug, Clone)]
pub struct ModelFile {
    pub(crate) proto: ModelProto,
}

/// Why bytes cannot be decoded as an ONNX model.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not ONNX, or truncated.
    #[error("not an ONNX file, or a truncated one; export or copy it again")]
    Decode,
    /// A protobuf without a graph.
    #[error("not an ONNX model: it holds no graph")]
    NoGraph,
    /// Nodes that take each other's outputs.
    #[error(transparent)]
    Cycle(#[from] NodeCycle),
    /// Weights in a second file that cannot be read.
    #[error("the weights of `{tensor}` are in a second file, `{location}`, which cannot be read: {source}")]
    External {
        /// The initializer's name.
        tensor: String,
        /// The second file's name.
        location: String,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// Weights beyond the end of the second file.
    #[error("the weights of `{tensor}` are bytes {offset}+{length} of `{location}`, which has {found}; copy it again")]
    ExternalRange {
        /// The initializer's name.
        tensor: String,
        /// The second file's name.
        location: String,
        /// The tensor's offset in bytes.
        offset: usize,
        /// The tensor's length in bytes.
        length: usize,
        /// The length of the second file in bytes.
        found: usize,
    },
    /// A malformed offset or length of external data.
    #[error("the weights of `{tensor}` are in a second file at `{key}` = `{value}`, which is not valid")]
    ExternalEntry {
        /// The initializer's name.
        tensor: String,
        /// The entry: `offset` or `length`.
        key: String,
        /// What the file gives for it.
        value: String,
    },
}

impl ModelFile {
    /// Decodes a file that contains its weights.
    ///
    /// # Errors
    /// [`FileError::Decode`] or [`FileError::NoGraph`]; for weights in a second file, [`FileError::External`].
    pub fn decode(file: impl Into<Bytes>) -> Result<Self, FileError> {
        Self::decode_with(file, &mut |_| Err(io::Error::other("only a single file was given")))
    }

    /// Decodes a file and puts its nodes in order. `external` reads the files beside it that hold weights, each once.
    ///
    /// # Errors
    /// [`FileError`] names the tensor whose data is missing or out of range.
    pub fn decode_with(file: impl Into<Bytes>, external: ReadExternal<'_>) -> Result<Self, FileError> {
        let mut proto = ModelProto::decode(file.into()).map_err(|_| FileError::Decode)?;
        let graph = proto.graph.as_mut().ok_or(FileError::NoGraph)?;
        let mut files = HashMap::new();
        let constants = graph.node.iter_mut().flat_map(|node| &mut node.attribute).filter_map(|a| a.t.as_mut());
        for tensor in graph.initializer.iter_mut().chain(constants) {
            if tensor.data_location == EXTERNAL || !tensor.external_data.is_empty() {
                fetch(tensor, &mut files, external)?;
            }
        }
        order::sort(graph)?;
        Ok(Self { proto })
    }

    /// The bytes of the file with all weights inside.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// The length of [`ModelFile::encode`] in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.proto.encoded_len()
    }

    /// The program that wrote it, such as `pytorch 2.4.0`; empty if the file does not say.
    #[must_use]
    pub fn producer(&self) -> String {
        format!("{} {}", self.proto.producer_name, self.proto.producer_version).trim().to_owned()
    }

    /// The version of the standard operator set.
    #[must_use]
    pub fn opset(&self) -> i64 {
        let sets = self.proto.opset_import.iter().filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        sets.map(|set| set.version).max().unwrap_or(1)
    }

    /// The version of the file format.
    #[must_use]
    pub fn ir_version(&self) -> i64 {
        self.proto.ir_version
    }

    /// The number of nodes of each operator. Operators outside the standard set carry their domain: `com.microsoft.Gelu`.
    #[must_use]
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut operators = BTreeMap::new();
        for node in self.nodes() {
            let name = match node.domain.as_str() {
                "" | "ai.onnx" => node.op_type.clone(),
                domain => format!("{domain}.{}", node.op_type),
            };
            *operators.entry(name).or_default() += 1;
        }
        operators
    }

    /// Whether the network computes in 8-bit integers. Quantized weights alone do not count.
    #[must_use]
    pub fn is_quantized(&self) -> bool {
        const QUANTIZED: [&str; 5] =
            ["QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger"];
        self.nodes().iter().any(|node| QUANTIZED.contains(&node.op_type.as_str()))
    }

    /// The value of a metadata key.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.props().iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    pub(crate) fn props(&self) -> &[StringStringEntryProto] {
        &self.proto.metadata_props
    }

    fn nodes(&self) -> &[NodeProto] {
        self.proto.graph.as_ref().map_or(&[], |graph| &graph.node)
    }
}

/// `TensorProto.DataLocation`.
const EXTERNAL: i32 = 1;

/// Moves a tensor's data from the second file into the tensor.
fn fetch(
    tensor: &mut TensorProto,
    files: &mut HashMap<String, Bytes>,
    external: ReadExternal<'_>,
) -> Result<(), FileError> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let number = |key: &str| {
        let parse = |value: &String| {
            let wrong = FileError::ExternalEntry { tensor: tensor.name.clone(), key: key.into(), value: value.clone() };
            value.parse::<usize>().map_err(|_| wrong)
        };
        entry(key).map(parse).transpose()
    };
    let location = entry("location").cloned().unwrap_or_default();
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if !files.contains_key(&location) {
        let content = external(&location).map_err(|source| FileError::External {
            tensor: tensor.name.clone(),
            location: location.clone(),
            source,
        })?;
        files.insert(location.clone(), content);
    }
    let content = &files[&location];
    let length = length.unwrap_or(content.len().saturating_sub(offset));
    match offset.checked_add(length) {
        Some(end) if end <= content.len() => {
            tensor.raw_data = content.slice(offset..end);
            tensor.external_data.clear();
            tensor.data_location = 0;
            Ok(())
        }
        _ => Err(FileError::ExternalRange {
            tensor: tensor.name.clone(),
            found: content.len(),
            location,
            offset,
            length,
        }),
    }
}

impl AttributeProto {
    /// The text of a string attribute.
    pub(crate) fn text(&self) -> Option<&str> {
        self.s.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{GraphProto, StringStringEntryProto, data_type};

    fn entry(key: &str, value: &str) -> StringStringEntryProto {
        StringStringEntryProto { key: key.into(), value: value.into() }
    }

    fn file(entries: &[(&str, &str)]) -> Vec<u8> {
        let tensor = TensorProto {
            name: "w".into(),
            dims: vec![1],
            data_type: data_type::FLOAT,
            data_location: EXTERNAL,
            external_data: entries.iter().map(|(key, value)| entry(key, value)).collect(),
            ..TensorProto::default()
        };
        let graph = GraphProto { initializer: vec![tensor.clone(), tensor], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn weights_in_a_second_file_are_read_from_it_once() {
        let file = file(&[("location", "w.bin"), ("offset", "4"), ("length", "4")]);
        let mut asked = Vec::new();
        let model = ModelFile::decode_with(file, &mut |name| {
            asked.push(name.to_owned());
            Ok(Bytes::from_static(&[0, 0, 0, 0, 1, 2, 3, 4]))
        });
        let graph = model.unwrap().proto.graph.unwrap();
        assert_eq!(graph.initializer[1].raw_data.as_ref(), [1, 2, 3, 4]);
        assert_eq!(asked, ["w.bin"]);
    }

    #[test]
    fn a_second_file_that_is_missing_short_or_misdescribed_is_named() {
        let short = |_: &str| Ok(Bytes::from_static(&[0; 6]));
        let table = [
            (vec![("location", "w.bin"), ("offset", "4"), ("length", "4")], "bytes 4+4 of `w.bin`, which has 6"),
            (vec![("location", "w.bin"), ("offset", "18446744073709551615"), ("length", "4")], "which has 6"),
            (vec![("location", "w.bin"), ("offset", "-1")], "`offset` = `-1`"),
        ];
        for (entries, expected) in table {
            let error = ModelFile::decode_with(file(&entries), &mut { short }).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = ModelFile::decode(file(&[("location", "w.bin")])).unwrap_err().to_string();
        assert!(error.contains("`w` are in a second file, `w.bin`"), "{error}");
    }
}
