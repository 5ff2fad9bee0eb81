//! The outputs of a file.

use models::Network;
use models::scores::ScoreKind;

use super::ExportError;
use crate::names::{FEATURES, LOGITS, PROBABILITIES};
use crate::proto::{NodeProto, ValueInfoProto};
use crate::write::{Attribute, value_info};

/// What a file puts out, and what computes it from the network's last tensor.
pub(crate) struct OutputSpec {
    /// The name of that tensor.
    pub(crate) heading: String,
    pub(crate) outputs: Vec<ValueInfoProto>,
    /// From logits to scores, for a classifier.
    pub(crate) scores: Option<NodeProto>,
}

impl OutputSpec {
    /// Logits and probabilities of a network with labels, the features of one without, by the names that `named` makes of
    /// the usual ones.
    pub(crate) fn of(network: &Network, mut named: impl FnMut(&str) -> String) -> Result<Self, ExportError> {
        let shape = network.graph.shape(network.graph.output());
        let Some(labels) = &network.spec.labels else {
            let heading = named(FEATURES);
            return Ok(Self { outputs: vec![value_info(&heading, shape)], heading, scores: None });
        };
        if shape.dims() != [labels.len()] {
            return Err(ExportError::Labels { labels: labels.len(), shape: shape.to_string() });
        }
        let (heading, probabilities) = (named(LOGITS), named(PROBABILITIES));
        let outputs = vec![value_info(&heading, shape), value_info(&probabilities, shape)];
        let scores = scores(network.spec.scores.kind, &heading, &probabilities);
        Ok(Self { heading, outputs, scores: Some(scores) })
    }
}

/// The node that makes scores of logits.
pub(crate) fn scores(kind: ScoreKind, logits: &str, scores: &str) -> NodeProto {
    let (op_type, attribute) = match kind {
        ScoreKind::Softmax => ("Softmax", vec![Attribute::int("axis", 1).into_proto()]),
        ScoreKind::Sigmoid => ("Sigmoid", vec![]),
        ScoreKind::Identity => ("Identity", vec![]),
    };
    NodeProto {
        name: scores.to_owned(),
        op_type: op_type.to_owned(),
        input: vec![logits.to_owned()],
        output: vec![scores.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}
