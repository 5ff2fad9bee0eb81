//! Which of several outputs classifies.

use std::collections::HashSet;

use models::scores::ScoreKind;

use super::{Meaning, OutputEvidence, SignatureError, SignatureOptions};
use crate::edit::captured;
use crate::proto::GraphProto;

/// Names that exporters give to the outputs of classifiers.
const NAMES: [&str; 8] =
    ["logits", "probabilities", "probs", "scores", "output", "predictions", "prob", "classification"];

/// Rules that leave fewer candidates, in this order; one that would leave none says nothing.
const RULES: &[fn(&Candidates<'_>, usize) -> bool] = &[
    // Outputs that were made to be scores.
    |all, index| {
        matches!(all.outputs[index].meaning, Meaning::Probabilities | Meaning::LogProbabilities | Meaning::Independent)
    },
    // As many numbers as there are names.
    |all, index| all.classes.is_some_and(|classes| fits(&all.outputs[index], classes)),
    // Logits rather than features.
    |all, index| all.outputs[index].kind().is_some(),
    // What no other candidate is made from.
    |all, index| !all.feeds_another(index),
    |all, index| NAMES.contains(&all.outputs[index].name.to_lowercase().as_str()),
];

/// The output that classifies, by its place in the list, with the meaning that the caller gives it.
pub(super) fn choose(
    graph: &GraphProto,
    mut outputs: Vec<OutputEvidence>,
    options: &SignatureOptions<'_>,
) -> Result<(usize, Vec<OutputEvidence>), SignatureError> {
    if outputs.is_empty() {
        return Err(SignatureError::NoOutput);
    }
    let chosen = match options.output {
        Some(name) => named(&outputs, name)?,
        None => by_rules(&Candidates { graph, outputs: &outputs, classes: options.classes })?,
    };
    settle(&mut outputs[chosen], options)?;
    Ok((chosen, outputs))
}

fn named(outputs: &[OutputEvidence], name: &str) -> Result<usize, SignatureError> {
    outputs.iter().position(|output| output.name == name).ok_or_else(|| {
        let known = outputs.iter().map(|output| output.name.clone()).collect();
        SignatureError::UnknownOutput { name: name.to_owned(), known }
    })
}

fn by_rules(all: &Candidates<'_>) -> Result<usize, SignatureError> {
    let shown = |indices: &[usize]| indices.iter().map(|&index| all.outputs[index].to_string()).collect();
    let every: Vec<usize> = (0..all.outputs.len()).collect();
    let hopeless = |index: &usize| matches!(all.outputs[*index].meaning, Meaning::Classes | Meaning::Map);
    let mut left: Vec<usize> = every.iter().copied().filter(|index| !hopeless(index)).collect();
    if left.is_empty() {
        return Err(SignatureError::NoScores { outputs: shown(&every) });
    }
    for rule in RULES {
        all.merge(&mut left);
        let kept: Vec<usize> = left.iter().copied().filter(|&index| rule(all, index)).collect();
        if !kept.is_empty() && left.len() > 1 {
            left = kept;
        }
    }
    match left[..] {
        [index] => Ok(index),
        _ => Err(SignatureError::Ambiguous { candidates: shown(&left) }),
    }
}

/// Applies what the caller says, and refuses what nothing tells.
fn settle(output: &mut OutputEvidence, options: &SignatureOptions<'_>) -> Result<(), SignatureError> {
    if output.meaning == Meaning::Features && options.classes.is_some_and(|classes| fits(output, classes)) {
        let evidence = format!("{}, and is as wide as there are class names", output.evidence);
        output.set(Meaning::Logits, &evidence);
        output.asked = true;
    }
    let said = output.to_string();
    match (options.activation, output.meaning) {
        (None, Meaning::Unknown) => return Err(SignatureError::Untold { output: said }),
        (_, Meaning::Classes | Meaning::Map) => return Err(SignatureError::NoScores { outputs: vec![said] }),
        (None, _) => {}
        (Some(ScoreKind::Softmax), Meaning::Probabilities | Meaning::LogProbabilities)
        | (Some(ScoreKind::Sigmoid), Meaning::Independent) => {}
        (Some(kind @ (ScoreKind::Softmax | ScoreKind::Sigmoid)), meaning) if is_activated(meaning) => {
            return Err(SignatureError::Activation { output: said, activation: kind.to_string() });
        }
        (Some(kind), _) => {
            output.set(kind.into(), "as asked");
            output.asked = true;
        }
    }
    if output.width == Some(1) && options.activation == Some(ScoreKind::Softmax) {
        return Err(SignatureError::SingleNumber { output: output.to_string() });
    }
    output.width.map_or(Ok(()), |width| output.measured(width).map(drop))
}

fn is_activated(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Probabilities | Meaning::LogProbabilities | Meaning::Independent | Meaning::Scores)
}

/// One number makes two classes.
fn fits(output: &OutputEvidence, classes: usize) -> bool {
    output.width.is_some_and(|width| width == classes || (width == 1 && classes == 2))
}

struct Candidates<'a> {
    graph: &'a GraphProto,
    outputs: &'a [OutputEvidence],
    classes: Option<usize>,
}

impl Candidates<'_> {
    /// Leaves one of those that come to the same: logits and their softmax are one answer.
    fn merge(&self, left: &mut Vec<usize>) {
        let mut sources: Vec<&crate::features::FeatureTensor> = Vec::new();
        // The one with an activation says more than the one without, a ZipMap has names, and a choice alone says less.
        let chooses = |index: usize| self.outputs[index].tensor != self.outputs[index].name;
        let named = |index: usize| self.outputs[index].labels.is_some();
        left.sort_by_key(|&index| (!is_activated(self.outputs[index].meaning), !named(index), chooses(index), index));
        left.retain(|&index| {
            let source = &self.outputs[index].source;
            let new = !sources.contains(&source);
            sources.push(source);
            new
        });
        left.sort_unstable();
    }

    /// Whether another output is computed from this one.
    fn feeds_another(&self, index: usize) -> bool {
        let start = &self.outputs[index].name;
        let mut reached: HashSet<&str> = HashSet::from([start.as_str()]);
        for node in &self.graph.node {
            if node.input.iter().chain(&captured(node)).any(|name| reached.contains(name.as_str())) {
                reached.extend(node.output.iter().map(String::as_str));
            }
        }
        let others = self.outputs.iter().filter(|other| other.name != *start && other.kind().is_some());
        others.into_iter().any(|other| reached.contains(other.name.as_str()))
    }
}
