//! What the inputs and outputs of a file mean, told by evidence: element types, last operators, widths, names and labels.
//!
//! ONNX says of a classifier only that numbers go in and numbers come out. Whether they are bytes or normalized, logits,
//! probabilities, independent labels or features is for the reader to find out; what the file does not tell is asked for,
//! never guessed.

mod choice;
mod ending;
pub(crate) mod error;
mod input;
mod scored;
#[cfg(test)]
mod tests;

use std::fmt;

use models::Labels;
use models::scores::ScoreKind;
use models::spec::ScoreSpec;

use crate::error::ImportError;
use crate::features::FeatureTensor;
use crate::file::{FileError, ModelFile};
use crate::metadata;
use crate::proto::ValueInfoProto;
pub use error::SignatureError;
pub use input::{ImageSize, InputEvidence, PixelScale};

/// What the caller knows about a file's outputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureOptions<'a> {
    /// The output that classifies.
    pub output: Option<&'a str>,
    /// What its numbers are.
    pub activation: Option<ScoreKind>,
    /// How many classes there are.
    pub classes: Option<usize>,
}

/// The inputs and outputs of a file.
#[derive(Debug, Clone)]
pub struct Signature {
    /// What the images must be.
    pub input: InputEvidence,
    /// Every output, in the file's order.
    pub outputs: Vec<OutputEvidence>,
    /// The output that is used: classes, or the features of a backbone.
    pub chosen: usize,
}

/// One output.
#[derive(Debug, Clone)]
pub struct OutputEvidence {
    /// What the file calls it.
    pub name: String,
    /// Its declared dimensions, such as `[n, 5]`; `?` if the file declares none.
    pub shape: String,
    /// What its numbers are.
    pub meaning: Meaning,
    /// What says so, such as `ends in Softmax`.
    pub evidence: String,
    /// Numbers an image, if the file declares them.
    pub width: Option<usize>,
    /// Class names that the file has beside this output.
    pub labels: Option<Labels>,
    /// The tensor of its numbers: the output itself, or what it chooses among.
    tensor: String,
    /// The tensor that is served: the same, or what an activation makes it of.
    source: FeatureTensor,
    value: ValueInfoProto,
    /// Whether the caller says what it means.
    pub(crate) asked: bool,
}

/// What the numbers of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Numbers from minus to plus infinity, of classes that exclude each other.
    Logits,
    /// A softmax: they sum to 1.
    Probabilities,
    /// Logarithms of a softmax.
    LogProbabilities,
    /// A sigmoid: each class has a probability of its own.
    Independent,
    /// Scores of some other kind, which are served as they are.
    Scores,
    /// What another layer could classify: embeddings, feature maps.
    Features,
    /// Class numbers or names, with no scores to be had.
    Classes,
    /// One number for each of many places: segmentation, detection.
    Map,
    /// Not to be told.
    Unknown,
}

impl ModelFile {
    /// What the file's inputs and outputs mean.
    ///
    /// # Errors
    /// [`SignatureError`] when the file does not tell which output classifies, or none does; [`ImportError`] for a file
    /// without exactly one image input.
    pub fn signature(&self, options: &SignatureOptions<'_>) -> Result<Signature, ImportError> {
        let graph = self.graph()?;
        let input = InputEvidence::of(graph)?;
        let outputs: Vec<OutputEvidence> = graph.output.iter().map(|output| ending::evidence(graph, output)).collect();
        if let Some(record) = metadata::read(self.props())? {
            // graft wrote it: logits or features come first, and their scores behind them.
            let mut signature = Signature { input, outputs, chosen: 0 };
            let first = signature.outputs.first_mut().ok_or(SignatureError::NoOutput)?;
            let meaning = if record.spec.labels.is_some() { record.spec.scores.kind.into() } else { Meaning::Features };
            first.set(meaning, "as graft recorded");
            return Ok(signature);
        }
        let (chosen, outputs) = choice::choose(graph, outputs, options)?;
        Ok(Signature { input, outputs, chosen })
    }

    /// The evidence for every output, whether or not one of them classifies.
    ///
    /// # Errors
    /// [`FileError::NoGraph`].
    pub fn outputs(&self) -> Result<Vec<OutputEvidence>, FileError> {
        let graph = self.graph()?;
        Ok(graph.output.iter().map(|output| ending::evidence(graph, output)).collect())
    }
}

impl Signature {
    /// The output that is used.
    #[must_use]
    pub fn output(&self) -> &OutputEvidence {
        &self.outputs[self.chosen]
    }
}

impl OutputEvidence {
    /// How its logits become scores; `None` for features.
    #[must_use]
    pub fn kind(&self) -> Option<ScoreKind> {
        match self.meaning {
            Meaning::Logits | Meaning::Probabilities | Meaning::LogProbabilities => Some(ScoreKind::Softmax),
            Meaning::Independent if self.width == Some(1) => Some(ScoreKind::Softmax),
            Meaning::Independent => Some(ScoreKind::Sigmoid),
            Meaning::Scores => Some(ScoreKind::Identity),
            Meaning::Features | Meaning::Classes | Meaning::Map | Meaning::Unknown => None,
        }
    }

    /// The same output, now that it is known how many numbers an image there are.
    ///
    /// # Errors
    /// [`SignatureError::SingleNumber`] for one number that is no logit.
    pub fn measured(&self, width: usize) -> Result<Self, SignatureError> {
        let output = Self { width: Some(width), ..self.clone() };
        match output.meaning {
            Meaning::Probabilities | Meaning::LogProbabilities | Meaning::Scores if width == 1 => {
                Err(SignatureError::SingleNumber { output: output.to_string() })
            }
            _ => Ok(output),
        }
    }

    /// The same output, if it is as wide as there are class names.
    ///
    /// # Errors
    /// [`SignatureError::Untold`] when nothing says that the numbers are scores.
    pub fn named(mut self, classes: Option<usize>) -> Result<Self, SignatureError> {
        match self.width == classes && classes.is_some() {
            true => self.set(Meaning::Logits, &format!("{}, and is as wide as there are class names", self.evidence)),
            false => return Err(SignatureError::Untold { output: self.to_string() }),
        }
        Ok(self)
    }

    /// For a model's spec.
    #[must_use]
    pub fn spec(&self, kind: ScoreKind) -> ScoreSpec {
        ScoreSpec { kind, evidence: Some(self.to_string()), ..ScoreSpec::default() }
    }

    fn set(&mut self, meaning: Meaning, evidence: &str) {
        (self.meaning, self.evidence) = (meaning, evidence.to_owned());
        self.source = FeatureTensor::Real(self.tensor.clone());
    }
}

impl From<ScoreKind> for Meaning {
    fn from(kind: ScoreKind) -> Self {
        match kind {
            ScoreKind::Softmax => Self::Logits,
            ScoreKind::Sigmoid => Self::Independent,
            ScoreKind::Identity => Self::Scores,
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::LogProbabilities => "logarithms of probabilities",
            Self::Independent => "a probability for each class by itself",
            Self::Scores => "scores",
            Self::Features => "features",
            Self::Classes => "the class, without scores",
            Self::Map => "a map, not one row of scores",
            Self::Unknown => "not to be told",
        })
    }
}

impl fmt::Display for OutputEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape, meaning, evidence, width, .. } = self;
        let binary = matches!(meaning, Meaning::Logits | Meaning::Independent) && *width == Some(1);
        match binary {
            true => write!(f, "output `{name}` {shape}: one number for two classes, p of the second ({evidence})"),
            false => write!(f, "output `{name}` {shape}: {meaning} ({evidence})"),
        }
    }
}
