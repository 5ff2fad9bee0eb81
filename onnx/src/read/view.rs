//! A node of the file with its attributes and inputs at hand.

use models::{NodeId, Tensor};

use super::constant::{Constant, Ints};
use super::error::ReadError;
use super::reader::{GraphReader, NamedValue};
use crate::proto::{AttributeProto, NodeProto};

/// The largest window, step or padding. Far beyond any network for images, it keeps a damaged file from asking for more
/// memory than there is.
const LARGEST_SIZE: usize = 1 << 20;

/// One node.
pub(crate) struct NodeView<'m> {
    pub(crate) proto: &'m NodeProto,
}

impl<'m> NodeView<'m> {
    /// Its name, or its first output's if it has none.
    pub(crate) fn name(&self) -> &'m str {
        if self.proto.name.is_empty() { self.output() } else { &self.proto.name }
    }

    pub(crate) fn op_type(&self) -> &'m str {
        &self.proto.op_type
    }

    pub(crate) fn domain(&self) -> &'m str {
        &self.proto.domain
    }

    /// The name of the first output.
    pub(crate) fn output(&self) -> &'m str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// The names of all outputs.
    pub(crate) fn outputs(&self) -> &'m [String] {
        &self.proto.output
    }

    /// The names of all inputs.
    pub(crate) fn inputs(&self) -> &'m [String] {
        &self.proto.input
    }

    /// The name of an input; optional inputs that are left out are `None`.
    pub(crate) fn input(&self, index: usize) -> Option<&'m str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What an input stands for.
    pub(crate) fn value<'r>(&self, reader: &'r GraphReader, index: usize) -> Result<&'r NamedValue, ReadError> {
        reader.value(self.input(index).ok_or(ReadError::MissingInput(index))?)
    }

    /// The constant behind an input; `None` when it is left out.
    pub(crate) fn constant<'r>(
        &self,
        reader: &'r GraphReader,
        index: usize,
    ) -> Result<Option<&'r Constant>, ReadError> {
        let Some(name) = self.input(index) else { return Ok(None) };
        match reader.value(name)? {
            NamedValue::Constant(_, constant) => Ok(Some(constant)),
            NamedValue::Node(_) => Err(computed(name)),
        }
    }

    /// The node behind an input.
    pub(crate) fn node_input(&self, reader: &GraphReader, index: usize) -> Result<NodeId, ReadError> {
        match self.value(reader, index)? {
            NamedValue::Node(id) => Ok(*id),
            NamedValue::Constant(name, _) => Err(ReadError::Unsupported(format!("its input `{name}` is a constant"))),
        }
    }

    /// The nodes behind all inputs.
    pub(crate) fn node_inputs(&self, reader: &GraphReader) -> Result<Vec<NodeId>, ReadError> {
        (0..self.inputs().len()).map(|index| self.node_input(reader, index)).collect()
    }

    /// The real numbers behind an input, with their name in the file.
    pub(crate) fn tensor_input(&self, reader: &GraphReader, index: usize) -> Result<(String, Tensor), ReadError> {
        match self.value(reader, index)? {
            NamedValue::Constant(name, Constant::Floats(tensor)) if tensor.data().is_empty() => {
                Err(ReadError::Unsupported(format!("its input `{name}` holds no numbers")))
            }
            NamedValue::Constant(name, Constant::Floats(tensor)) => Ok((name.clone(), tensor.clone())),
            NamedValue::Constant(name, _) => {
                Err(ReadError::Unsupported(format!("its input `{name}` does not hold real numbers")))
            }
            NamedValue::Node(_) => Err(computed(self.input(index).unwrap_or_default())),
        }
    }

    /// One real number behind an optional input.
    pub(crate) fn scalar_input(&self, reader: &GraphReader, index: usize) -> Result<Option<f32>, ReadError> {
        match self.input(index) {
            Some(_) => Ok(self.tensor_input(reader, index)?.1.data().first().copied()),
            None => Ok(None),
        }
    }

    /// The whole numbers behind an input.
    pub(crate) fn ints_input(&self, reader: &GraphReader, index: usize) -> Result<Ints, ReadError> {
        let name = self.input(index).ok_or(ReadError::MissingInput(index))?;
        let constant = self.constant(reader, index)?.ok_or(ReadError::MissingInput(index))?;
        constant.integers().map_err(|reason| ReadError::Unsupported(format!("its input `{name}` {reason}")))
    }

    /// Whole numbers that older operator sets have as an attribute and newer ones as an input; `None` when neither is
    /// there.
    pub(crate) fn ints_of(
        &self,
        reader: &GraphReader,
        name: &str,
        index: usize,
    ) -> Result<Option<Vec<i64>>, ReadError> {
        match self.input(index) {
            Some(_) => Ok(Some(self.ints_input(reader, index)?.data)),
            None => Ok(self.attribute(name).map(|attribute| attribute.ints.clone())),
        }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&'m AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|attribute| attribute.f).unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str, default: &'m str) -> &'m str {
        self.attribute(name).and_then(AttributeProto::text).unwrap_or(default)
    }

    /// A list of sizes; `None` when the attribute is absent.
    pub(crate) fn sizes<const N: usize>(&self, name: &'static str) -> Result<Option<[usize; N]>, ReadError> {
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = attribute.ints.iter().map(|&size| bounded(size)).collect();
        match sizes.and_then(|sizes| sizes.try_into().ok()) {
            Some(sizes) => Ok(Some(sizes)),
            None => Err(ReadError::Attribute { name, value: format!("{:?}", attribute.ints) }),
        }
    }
}

/// A size that a window, step or padding can have.
pub(crate) fn bounded(size: i64) -> Option<usize> {
    usize::try_from(size).ok().filter(|&size| size <= LARGEST_SIZE)
}

fn computed(name: &str) -> ReadError {
    ReadError::Unsupported(format!("its input `{name}` is computed by the network, not stored in the file"))
}
