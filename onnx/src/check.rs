//! Rules of ONNX that every exported file must keep.

use std::collections::HashSet;

use thiserror::Error;

use crate::proto::{ModelProto, data_type};

/// A rule that a file breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    /// Two producers of one tensor, counting initializers and inputs.
    #[error("`{0}` is produced twice")]
    Redefined(String),
    /// A node whose input no earlier node, initializer or input produces.
    #[error("node `{node}` takes `{value}`, which nothing before it produces")]
    Undefined {
        /// The node's name.
        node: String,
        /// The name of its input.
        value: String,
    },
    /// Two nodes with one name.
    #[error("two nodes are named `{0}`")]
    NodeName(String),
    /// An output without a producer.
    #[error("the output `{0}` is not produced")]
    Output(String),
    /// An initializer that no node takes.
    #[error("the initialiser `{0}` is not used")]
    Unused(String),
    /// An initializer whose length does not match its dimensions.
    #[error("the initialiser `{name}` has dimensions {dims:?} but {bytes} bytes")]
    Length {
        /// The initializer's name.
        name: String,
        /// Its dimensions.
        dims: Vec<i64>,
        /// The length of its data in bytes.
        bytes: usize,
    },
    /// A missing part: the graph, or the import of the standard operators.
    #[error("the file has no {0}")]
    Missing(&'static str),
}

/// All violations of single assignment, order, unique node names, and complete and used initializers.
pub(crate) fn check(model: &ModelProto) -> Vec<Violation> {
    let Some(graph) = &model.graph else { return vec![Violation::Missing("graph")] };
    let mut problems = Vec::new();
    if !model.opset_import.iter().any(|set| set.domain.is_empty()) {
        problems.push(Violation::Missing("opset import"));
    }
    let mut defined = HashSet::new();
    let sources =
        graph.input.iter().map(|input| &input.name).chain(graph.initializer.iter().map(|tensor| &tensor.name));
    problems.extend(sources.filter(|name| !defined.insert(name.as_str())).cloned().map(Violation::Redefined));
    let mut names = HashSet::new();
    let mut used = HashSet::new();
    for node in &graph.node {
        if !names.insert(node.name.as_str()) {
            problems.push(Violation::NodeName(node.name.clone()));
        }
        for value in node.input.iter().filter(|value| !value.is_empty()) {
            used.insert(value.as_str());
            if !defined.contains(value.as_str()) {
                problems.push(Violation::Undefined { node: node.name.clone(), value: value.clone() });
            }
        }
        let outputs = node.output.iter();
        problems.extend(outputs.filter(|value| !defined.insert(value.as_str())).cloned().map(Violation::Redefined));
    }
    let outputs = graph.output.iter().map(|output| &output.name);
    problems.extend(outputs.filter(|name| !defined.contains(name.as_str())).cloned().map(Violation::Output));
    for tensor in &graph.initializer {
        if !used.contains(tensor.name.as_str()) {
            problems.push(Violation::Unused(tensor.name.clone()));
        }
        let bytes = tensor.raw_data.len();
        let width = match tensor.data_type {
            data_type::FLOAT => 4,
            data_type::FLOAT16 => 2,
            data_type::INT8 => 1,
            data_type::INT64 => 8,
            _ => 0,
        };
        if width == 0 || tensor.dims.iter().product::<i64>() * width != bytes as i64 {
            problems.push(Violation::Length { name: tensor.name.clone(), dims: tensor.dims.clone(), bytes });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{GraphProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};

    fn node(name: &str, inputs: &[&str], output: &str) -> NodeProto {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        NodeProto { name: name.into(), input, output: vec![output.into()], ..NodeProto::default() }
    }

    fn value(name: &str) -> ValueInfoProto {
        ValueInfoProto { name: name.into(), ..ValueInfoProto::default() }
    }

    fn weight(name: &str) -> TensorProto {
        let raw_data = vec![0; 8].into();
        TensorProto {
            name: name.into(),
            dims: vec![2],
            data_type: data_type::FLOAT,
            raw_data,
            ..TensorProto::default()
        }
    }

    fn valid() -> ModelProto {
        let graph = GraphProto {
            input: vec![value("x")],
            initializer: vec![weight("w")],
            node: vec![node("a", &["x", "w"], "h"), node("b", &["h"], "y")],
            output: vec![value("y")],
            ..GraphProto::default()
        };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
        ModelProto { graph: Some(graph), opset_import, ..ModelProto::default() }
    }

    #[test]
    fn a_valid_model_has_no_problems() {
        assert_eq!(check(&valid()), []);
    }

    #[test]
    fn each_broken_rule_is_named() {
        type Damage = fn(&mut GraphProto);
        let table: [(Damage, Violation); 6] = [
            (|graph| graph.node.swap(0, 1), Violation::Undefined { node: "b".into(), value: "h".into() }),
            (|graph| graph.node[1].output[0] = "h".into(), Violation::Redefined("h".into())),
            (|graph| graph.node[1].name = "a".into(), Violation::NodeName("a".into())),
            (|graph| graph.output[0].name = "z".into(), Violation::Output("z".into())),
            (|graph| graph.initializer.push(weight("v")), Violation::Unused("v".into())),
            (
                |graph| graph.initializer[0].dims = vec![3],
                Violation::Length { name: "w".into(), dims: vec![3], bytes: 8 },
            ),
        ];
        for (damage, problem) in table {
            let mut model = valid();
            damage(model.graph.as_mut().unwrap());
            assert_eq!(check(&model).first(), Some(&problem));
        }
    }
}
