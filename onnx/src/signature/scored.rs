//! A file with the chosen output alone.

use std::collections::HashSet;

use super::Signature;
use crate::edit::{free, names};
use crate::error::ImportError;
use crate::features::FeatureTensor;
use crate::file::ModelFile;
use crate::proto::{NodeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type};
use crate::prune;

impl ModelFile {
    /// The file with one output: the logits that the chosen output's scores are made of, or the features of a backbone. Nodes
    /// that only other outputs need are left out.
    ///
    /// # Errors
    /// [`ImportError::File`] for a file without a graph.
    pub fn scored(&self, signature: &Signature) -> Result<Self, ImportError> {
        self.graph()?;
        let mut file = self.clone();
        let graph = file.proto.graph.get_or_insert_default();
        let output = signature.output();
        let tensor = match &output.source {
            FeatureTensor::Real(tensor) => tensor.clone(),
            FeatureTensor::Quantized(parts) => {
                let taken: HashSet<String> = names(graph).collect();
                let real = free("graft.dequantized", &taken);
                graph.node.push(NodeProto {
                    name: real.clone(),
                    op_type: "DequantizeLinear".to_owned(),
                    input: parts.clone(),
                    output: vec![real.clone()],
                    ..NodeProto::default()
                });
                real
            }
        };
        prune::keep(graph, &tensor);
        graph.output = vec![tensor_of(&output.value, tensor)];
        let used: HashSet<&str> = graph.node.iter().map(|node| node.domain.as_str()).collect();
        let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
        file.proto.opset_import.retain(|set| standard(&set.domain) || used.contains(set.domain.as_str()));
        Ok(file)
    }
}

/// A declaration under another name, of real numbers.
fn tensor_of(value: &ValueInfoProto, name: String) -> ValueInfoProto {
    let shape = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.clone());
    let same = value.name == name;
    let declared = value.r#type.as_ref().and_then(|kind| Some(kind.tensor_type.as_ref()?.elem_type));
    let elem_type = declared.filter(|_| same).unwrap_or(data_type::FLOAT);
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto {
        name,
        r#type: Some(TypeProto { tensor_type, ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
