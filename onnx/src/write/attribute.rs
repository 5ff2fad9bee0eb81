//! Attributes of nodes.

use bytes::Bytes;

use crate::proto::{AttributeProto, AttributeType};

/// An attribute of a node.
#[derive(Debug, Clone)]
pub(crate) struct Attribute(AttributeProto);

impl Attribute {
    pub(crate) fn int(name: &str, value: usize) -> Self {
        Self(AttributeProto { i: Some(value as i64), ..Self::named(name, AttributeType::Int) })
    }

    pub(crate) fn ints(name: &str, values: &[usize]) -> Self {
        let ints = values.iter().map(|&value| value as i64).collect();
        Self(AttributeProto { ints, ..Self::named(name, AttributeType::Ints) })
    }

    pub(crate) fn float(name: &str, value: f32) -> Self {
        Self(AttributeProto { f: Some(value), ..Self::named(name, AttributeType::Float) })
    }

    pub(crate) fn text(name: &str, value: &'static str) -> Self {
        let bytes = Bytes::from_static(value.as_bytes());
        Self(AttributeProto { s: Some(bytes), ..Self::named(name, AttributeType::String) })
    }

    pub(crate) fn into_proto(self) -> AttributeProto {
        self.0
    }

    fn named(name: &str, kind: AttributeType) -> AttributeProto {
        AttributeProto { name: name.to_owned(), r#type: kind.into(), ..AttributeProto::default() }
    }
}
