//! Why a file's inputs or outputs cannot be served.

use thiserror::Error;

/// Why a file's inputs or outputs cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// A file without outputs.
    #[error("the model has no output; export it again")]
    NoOutput,
    /// No output of this name.
    #[error("the model has no output `{name}`; it has {}", listed(.known))]
    UnknownOutput {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Outputs that could each be the one that classifies.
    #[error("the model does not say which of its outputs classifies; name it with --output: {}", .candidates.join("; "))]
    Ambiguous {
        /// Each with its evidence.
        candidates: Vec<String>,
    },
    /// Outputs of which none has scores.
    #[error("the model has no scores of classes: {}; {}", .outputs.join("; "), ADVICE)]
    NoScores {
        /// Each with its evidence.
        outputs: Vec<String>,
    },
    /// An output of numbers whose meaning nothing tells.
    #[error(
        "{output}: nothing says whether these are scores; if they are, say what kind with --activation: softmax for logits of \
         classes that exclude each other, sigmoid for those of independent labels, none for scores that are ready"
    )]
    Untold {
        /// The output with its evidence.
        output: String,
    },
    /// An activation that contradicts the file.
    #[error("{output}, so --activation {activation} would squash the scores twice; leave it out")]
    Activation {
        /// The output with its evidence.
        output: String,
        /// What was asked for.
        activation: String,
    },
    /// Channels that no decoded image has.
    #[error(
        "{input} has neither 3 channels nor 1: graft decodes images to red, green and blue, or to gray, and the file does not \
         say what the others are (alpha, infrared, depth, several images); export the network with an input of 3 channels, \
         and make the others of them inside, such as an alpha of ones"
    )]
    Channels {
        /// The input with its declared shape.
        input: String,
    },
    /// One number that is not a logit.
    #[error("{output}: one number an image makes two classes only as a logit or its sigmoid; export it so")]
    SingleNumber {
        /// The output with its evidence.
        output: String,
    },
}

const ADVICE: &str = "graft serves classifiers: export the network with its logits or probabilities as an output";

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
