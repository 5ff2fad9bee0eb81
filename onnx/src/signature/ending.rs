//! The table of endings: what the last operators before an output say about its numbers.

use std::collections::HashMap;

use models::Labels;

use super::{Meaning, OutputEvidence};
use crate::features::{FeatureTensor, last_layer};
use crate::proto::{Dimension, GraphProto, NodeProto, ValueInfoProto, data_type};

/// What an operator at the end of a network says.
#[derive(Clone, Copy)]
enum Ending {
    /// It makes numbers of this meaning from its first input, which is served instead.
    Activation(Meaning),
    /// Its output is of this meaning.
    Plain(Meaning),
    /// It chooses among the numbers of its first input, which tell more.
    Choice,
    /// It leaves the numbers as they are.
    Move,
    /// It shifts or scales the numbers of its only computed input.
    Shift,
}

/// Operators whose place at the end of a network means something. Behind any other, the numbers are logits if a layer with
/// weights makes them, else features.
const ENDINGS: &[(&str, Ending)] = &[
    ("Softmax", Ending::Activation(Meaning::Probabilities)),
    ("QLinearSoftmax", Ending::Activation(Meaning::Probabilities)),
    ("LogSoftmax", Ending::Activation(Meaning::LogProbabilities)),
    ("Sigmoid", Ending::Activation(Meaning::Independent)),
    ("QLinearSigmoid", Ending::Activation(Meaning::Independent)),
    ("HardSigmoid", Ending::Plain(Meaning::Scores)),
    ("ArrayFeatureExtractor", Ending::Plain(Meaning::Classes)),
    ("LabelEncoder", Ending::Plain(Meaning::Classes)),
    ("NonMaxSuppression", Ending::Plain(Meaning::Map)),
    ("ArgMax", Ending::Choice),
    ("TopK", Ending::Choice),
    ("ZipMap", Ending::Choice),
    ("Cast", Ending::Move),
    ("CastLike", Ending::Move),
    ("DequantizeLinear", Ending::Move),
    ("Dropout", Ending::Move),
    ("Flatten", Ending::Move),
    ("Identity", Ending::Move),
    ("QuantizeLinear", Ending::Move),
    ("Reshape", Ending::Move),
    ("Squeeze", Ending::Move),
    ("Transpose", Ending::Move),
    ("Unsqueeze", Ending::Move),
    ("Add", Ending::Shift),
    ("Clip", Ending::Shift),
    ("Div", Ending::Shift),
    ("Mul", Ending::Shift),
    ("Sub", Ending::Shift),
];

/// What lies between an output and the operator that tells its meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// Nothing but what leaves the numbers as they are.
    Moves,
    /// A choice among them.
    Choice,
}

/// What is known of an output.
pub(super) fn evidence(graph: &GraphProto, output: &ValueInfoProto) -> OutputEvidence {
    let search = Search { graph, producers: producers(graph) };
    let shape = Dims::of(output);
    let mut evidence = OutputEvidence {
        name: output.name.clone(),
        shape: shape.to_string(),
        meaning: Meaning::Unknown,
        evidence: String::new(),
        width: shape.width(),
        labels: None,
        tensor: output.name.clone(),
        source: FeatureTensor::Real(output.name.clone()),
        value: output.clone(),
        asked: false,
    };
    let choice = search.follow(&mut evidence);
    refine(&mut evidence, output, &shape, choice);
    evidence
}

/// The tensors of a file by their producers.
struct Search<'a> {
    graph: &'a GraphProto,
    producers: HashMap<&'a str, &'a NodeProto>,
}

fn producers(graph: &GraphProto) -> HashMap<&str, &NodeProto> {
    graph.node.iter().flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node))).collect()
}

impl<'a> Search<'a> {
    /// Goes back from the output to the first operator that tells what its numbers are.
    fn follow(&self, evidence: &mut OutputEvidence) -> Passed {
        let mut at = evidence.name.clone();
        let (mut prefix, mut passed) = (String::new(), Passed::Moves);
        // Nodes are in order, so a way back is no longer than the list.
        for _ in 0..=self.graph.node.len() {
            let Some(node) = self.producers.get(at.as_str()) else {
                // Whoever reads the network says so too, with the name.
                evidence.meaning = Meaning::Features;
                evidence.evidence = "no node produces it".to_owned();
                break;
            };
            let op = node.op_type.as_str();
            let said = format!("ends in {op}{prefix}");
            match ending(op) {
                Some(Ending::Move) => at = first(node),
                Some(Ending::Choice) => {
                    evidence.labels = evidence.labels.take().or_else(|| zipped(node));
                    evidence.width =
                        evidence.labels.as_ref().map(Labels::len).or(evidence.width.filter(|_| op == "ZipMap"));
                    at = first(node);
                    evidence.tensor.clone_from(&at);
                    evidence.source = FeatureTensor::Real(at.clone());
                    evidence.value.r#type = None;
                    passed = Passed::Choice;
                    prefix = format!(" before {op}{prefix}, which is left off");
                }
                Some(Ending::Activation(meaning)) => {
                    evidence.source = activated(node);
                    (evidence.meaning, evidence.evidence) = (meaning, said);
                    break;
                }
                Some(Ending::Plain(meaning)) => {
                    (evidence.meaning, evidence.evidence) = (meaning, said);
                    break;
                }
                Some(Ending::Shift) | None => {
                    (evidence.meaning, evidence.evidence) = self.computed(node, &at, said);
                    if let Some(logits) = self.decomposed_softmax(node) {
                        evidence.source = FeatureTensor::Real(logits);
                        evidence.meaning = Meaning::Probabilities;
                        evidence.evidence = format!("ends in a softmax of Exp, ReduceSum and Div{prefix}");
                    }
                    break;
                }
            }
        }
        passed
    }

    /// The meaning of a node's output that no activation made: logits of a layer with weights, or features.
    fn computed(&self, node: &NodeProto, output: &str, said: String) -> (Meaning, String) {
        if ending(&node.op_type).is_some()
            && let Some(activation) = self.activation_behind(output)
        {
            return (Meaning::Unknown, format!("{said} behind {activation}"));
        }
        match last_layer(self.graph, output) {
            Some(layer) if layer == node.op_type => (Meaning::Logits, said),
            Some(layer) => (Meaning::Logits, format!("{said} behind {layer}")),
            None => (Meaning::Features, said),
        }
    }

    /// The activation that a shift or a scale stands behind.
    fn activation_behind(&self, tensor: &str) -> Option<&'a str> {
        let mut left = vec![tensor.to_owned()];
        for _ in 0..=self.graph.node.len() {
            let node = self.producers.get(left.pop()?.as_str())?;
            match ending(&node.op_type) {
                Some(Ending::Activation(_)) => return Some(&node.op_type),
                // A product of two computed tensors is a gate, such as a swish, and no shift.
                Some(Ending::Move | Ending::Shift) if self.computed_inputs(node) == 1 => {
                    left.extend(node.input.iter().filter(|input| self.producers.contains_key(input.as_str())).cloned());
                }
                _ => return None,
            }
        }
        None
    }

    /// How many inputs of a node depend on the image.
    fn computed_inputs(&self, node: &NodeProto) -> usize {
        let constant = |name: &String| match self.producers.get(name.as_str()) {
            Some(producer) => producer.op_type == "Constant",
            None => self.graph.initializer.iter().any(|tensor| tensor.name == *name),
        };
        node.input.iter().filter(|input| !input.is_empty() && !constant(input)).count()
    }

    /// The logits of `Exp(x) / ReduceSum(Exp(x))`, as some converters write a softmax.
    fn decomposed_softmax(&self, node: &NodeProto) -> Option<String> {
        let [powers, sum] = &node.input[..] else { return None };
        let (exp, reduce) = (self.producers.get(powers.as_str())?, self.producers.get(sum.as_str())?);
        let matches = node.op_type == "Div"
            && exp.op_type == "Exp"
            && reduce.op_type == "ReduceSum"
            && reduce.input.first() == Some(powers);
        matches.then(|| first(exp))
    }
}

fn ending(op: &str) -> Option<Ending> {
    ENDINGS.iter().find(|(name, _)| *name == op).map(|(_, ending)| *ending)
}

fn first(node: &NodeProto) -> String {
    node.input.first().cloned().unwrap_or_default()
}

/// What an activation is applied to.
fn activated(node: &NodeProto) -> FeatureTensor {
    match node.op_type.as_str() {
        // Integers, their scale and their zero point.
        "QLinearSoftmax" | "QLinearSigmoid" => {
            FeatureTensor::Quantized(node.input.iter().take(3).filter(|name| !name.is_empty()).cloned().collect())
        }
        _ => FeatureTensor::Real(first(node)),
    }
}

/// The class names of a `ZipMap`.
fn zipped(node: &NodeProto) -> Option<Labels> {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let strings = attribute("classlabels_strings").map(|attribute| {
        attribute.strings.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
    });
    let numbers = attribute("classlabels_int64s")
        .map(|attribute| attribute.ints.iter().map(|class| format!("class {class}")).collect::<Vec<_>>());
    strings.or(numbers).filter(|names| !names.is_empty()).map(Labels::new)
}

/// Types and shapes overrule what the operators say.
fn refine(evidence: &mut OutputEvidence, output: &ValueInfoProto, shape: &Dims, passed: Passed) {
    let kind = output.r#type.as_ref();
    let elem_type = kind.and_then(|kind| Some(kind.tensor_type.as_ref()?.elem_type)).unwrap_or(data_type::FLOAT);
    let real = matches!(elem_type, data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE | data_type::BFLOAT16 | 0);
    let quantized = matches!(elem_type, data_type::UINT8 | data_type::INT8);
    // What an activation was applied to is real even where its output is stored in bytes.
    let activated = matches!(evidence.meaning, Meaning::Probabilities | Meaning::Independent);
    let is_tensor = kind.is_none_or(|kind| kind.sequence_type.is_none() && kind.map_type.is_none());
    let mut overruled = match passed {
        Passed::Choice => None,
        Passed::Moves if !is_tensor => Some((Meaning::Classes, "it is a sequence or a map, no tensor".to_owned())),
        Passed::Moves if real || (quantized && activated) => None,
        Passed::Moves => Some((Meaning::Classes, format!("it holds {} values", data_type::name(elem_type)))),
    };
    if shape.is_map() && overruled.is_none() {
        match passed {
            Passed::Choice => overruled = Some((Meaning::Map, format!("its shape is {shape}"))),
            // Whatever made them, these are not one row of scores; another layer may still classify them.
            Passed::Moves => {
                evidence.set(Meaning::Features, &format!("its shape is {shape}, and it {}", evidence.evidence))
            }
        }
    }
    if let Some((meaning, why)) = overruled {
        evidence.meaning = meaning;
        evidence.evidence = format!("{why}, and {}", evidence.evidence);
    }
}

/// Declared dimensions; `None` inside for those that are open.
struct Dims(Option<Vec<Option<usize>>>);

impl Dims {
    fn of(value: &ValueInfoProto) -> Self {
        let shape = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.as_ref());
        let size = |dim: &Option<Dimension>| match dim {
            Some(Dimension::Value(size)) => usize::try_from(*size).ok(),
            _ => None,
        };
        Self(shape.map(|shape| shape.dim.iter().map(|dim| size(&dim.value)).collect()))
    }

    /// Numbers an image. A single dimension is the batch where it is open, and otherwise the classes of one image.
    fn width(&self) -> Option<usize> {
        match self.0.as_deref()? {
            [None] | [Some(1)] => Some(1),
            [Some(width)] => Some(*width),
            [_, rest @ ..] if !rest.is_empty() => rest.iter().copied().product(),
            _ => None,
        }
    }

    /// Whether more than one dimension behind the batch is longer than one, as far as they are declared.
    fn is_map(&self) -> bool {
        let rest = self.0.as_deref().and_then(|dims| dims.get(1..)).unwrap_or_default();
        rest.iter().filter(|size| matches!(size, Some(2..))).count() > 1
    }
}

impl std::fmt::Display for Dims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(dims) = &self.0 else { return f.write_str("?") };
        let name = |(index, size): (usize, &Option<usize>)| match (size, index) {
            (Some(size), _) => size.to_string(),
            (None, 0) => "n".to_owned(),
            (None, _) => "?".to_owned(),
        };
        write!(f, "[{}]", dims.iter().enumerate().map(name).collect::<Vec<_>>().join(", "))
    }
}
