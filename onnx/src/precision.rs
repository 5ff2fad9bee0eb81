//! The numbers that a file computes with.

use std::collections::HashSet;

use crate::file::ModelFile;
use crate::parity::TOLERANCE;
use crate::proto::{NodeProto, data_type};

/// The narrowest numbers that a file has on its way from the image to the logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `f32` or wider, whatever the weights are stored as.
    F32,
    /// `f16`, with 11 bits.
    F16,
    /// `bf16`, with 8 bits.
    Bf16,
}

impl Precision {
    /// The largest difference allowed between two computations of a file, relative to the largest logit: [`TOLERANCE`], or
    /// twenty roundings to the bits of the format (2^-11 and 2^-8). Engines round such numbers in different places, some not
    /// at all, and the roundings of many layers add up to a few; a wrong operator makes far more.
    #[must_use]
    pub fn tolerance(self) -> f64 {
        match self {
            Self::F32 => TOLERANCE,
            Self::F16 => 1e-2,
            Self::Bf16 => 8e-2,
        }
    }

    fn of(elem_type: i32) -> Self {
        match elem_type {
            data_type::FLOAT16 => Self::F16,
            data_type::BFLOAT16 => Self::Bf16,
            _ => Self::F32,
        }
    }
}

impl ModelFile {
    /// The narrowest numbers that the file computes with. Weights that are widened before they are used do not count.
    #[must_use]
    pub fn precision(&self) -> Precision {
        let Some(graph) = &self.proto.graph else { return Precision::F32 };
        let converts = |node: &&NodeProto| matches!(node.op_type.as_str(), "Cast" | "CastLike" | "DequantizeLinear");
        let attributes = |node: &NodeProto, name: &str| {
            let attribute = node.attribute.iter().find(|attribute| attribute.name == name);
            attribute.and_then(|attribute| attribute.i).and_then(|number| i32::try_from(number).ok())
        };
        let casts = graph.node.iter().filter(converts).filter_map(|node| attributes(node, "to"));
        let used: HashSet<&str> =
            graph.node.iter().filter(|node| !converts(node)).flat_map(|node| &node.input).map(String::as_str).collect();
        let stored = graph.initializer.iter().filter(|tensor| used.contains(tensor.name.as_str()));
        let inline = graph.node.iter().filter(|node| node.output.iter().any(|output| used.contains(output.as_str())));
        let inline = inline.flat_map(|node| &node.attribute).filter_map(|attribute| attribute.t.as_ref());
        let inputs = graph.input.iter().filter(|input| used.contains(input.name.as_str()));
        let inputs = inputs.filter_map(|input| Some(input.r#type.as_ref()?.tensor_type.as_ref()?.elem_type));
        let constants = stored.chain(inline).map(|tensor| tensor.data_type);
        casts.chain(constants).chain(inputs).map(Precision::of).max().unwrap_or(Precision::F32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::cast;
    use crate::proto::{GraphProto, ModelProto, TensorProto};

    fn file(elem_type: i32, node: Vec<NodeProto>) -> ModelFile {
        let weights = TensorProto { name: "w".to_owned(), data_type: elem_type, ..TensorProto::default() };
        let graph = Some(GraphProto { node, initializer: vec![weights], ..GraphProto::default() });
        ModelFile { proto: ModelProto { graph, ..ModelProto::default() } }
    }

    fn gemm(weights: &str) -> NodeProto {
        let input = vec!["x".to_owned(), weights.to_owned()];
        NodeProto { op_type: "Gemm".to_owned(), input, output: vec!["y".to_owned()], ..NodeProto::default() }
    }

    #[test]
    fn the_precision_is_that_of_the_computation_and_not_of_the_storage() {
        for (stored, nodes, expected) in [
            (data_type::FLOAT, vec![gemm("w")], Precision::F32),
            (data_type::FLOAT16, vec![gemm("w")], Precision::F16),
            (data_type::BFLOAT16, vec![gemm("w")], Precision::Bf16),
            (data_type::FLOAT16, vec![cast("w", "wide", data_type::FLOAT), gemm("wide")], Precision::F32),
            (data_type::FLOAT, vec![gemm("w"), cast("y", "z", data_type::FLOAT16)], Precision::F16),
        ] {
            assert_eq!(file(stored, nodes.clone()).precision(), expected, "{stored} {nodes:?}");
        }
    }
}
