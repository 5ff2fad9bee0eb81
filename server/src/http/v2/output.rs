//! Which outputs a request is answered with, and how.

use models::spec::ScoreSpec;

use super::request::{InferParameters, InferRequestedOutput};
use super::tensors::{BYTES, FP32, LOGITS, PROBABILITIES, TensorMetadata, UNCERTAIN};
use crate::http::problem::{ApiError, Code};

/// An output of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputPlan {
    pub(crate) values: OutputValues,
    pub(crate) encoding: OutputEncoding,
    /// The best so many classes as texts; 0 for all values.
    pub(crate) classification: usize,
}

/// What is answered of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputValues {
    Logits,
    Scores,
    /// Why the best class is not to be trusted, if it is not.
    Doubts,
}

/// Which outputs a model has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputReader {
    available: Vec<OutputValues>,
}

/// Where an output's elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputEncoding {
    Json,
    Binary,
}

impl OutputValues {
    /// Those of a model, in the order in which they are answered where a request names none. Only a model that knows when it is
    /// uncertain says so.
    fn of_model(scores: &ScoreSpec) -> impl Iterator<Item = Self> {
        let doubts = scores.doubt.is_some().then_some(Self::Doubts);
        [Self::Logits, Self::Scores].into_iter().chain(doubts)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Logits => LOGITS,
            Self::Scores => PROBABILITIES,
            Self::Doubts => UNCERTAIN,
        }
    }
}

/// What an answer of a model with so many classes has.
pub(super) fn outputs(scores: &ScoreSpec, classes: usize) -> Vec<TensorMetadata> {
    let output = |values: OutputValues| {
        let (datatype, width) = match values {
            OutputValues::Logits | OutputValues::Scores => (FP32, classes as i64),
            OutputValues::Doubts => (BYTES, 1),
        };
        TensorMetadata { name: values.name(), datatype, shape: vec![-1, width] }
    };
    OutputValues::of_model(scores).map(output).collect()
}

impl OutputReader {
    /// Reads which outputs of a model are wanted.
    pub(crate) fn new(scores: &ScoreSpec) -> Self {
        Self { available: OutputValues::of_model(scores).collect() }
    }

    /// Every output, its elements encoded so.
    pub(crate) fn all(&self, encoding: OutputEncoding) -> Vec<OutputPlan> {
        let plan = |&values| OutputPlan { values, encoding, classification: 0 };
        self.available.iter().map(plan).collect()
    }

    /// The output of this name: all its values, or so many classes.
    ///
    /// # Errors
    /// [`Code::InvalidTensor`] for an output that there is not, or that has no classes.
    pub(crate) fn named(
        &self,
        name: &str,
        encoding: OutputEncoding,
        classification: usize,
    ) -> Result<OutputPlan, ApiError> {
        let values = self.available.iter().copied().find(|values| values.name() == name).ok_or_else(|| {
            let names: Vec<String> = self.available.iter().rev().map(|values| format!("`{}`", values.name())).collect();
            let detail = format!("there is no output `{name}`; ask for {}", names.join(" or "));
            ApiError::new(Code::InvalidTensor, detail)
        })?;
        if values == OutputValues::Doubts && classification > 0 {
            let detail = format!("output `{name}` has no classes; leave `classification` out");
            return Err(ApiError::new(Code::InvalidTensor, detail));
        }
        Ok(OutputPlan { values, encoding, classification })
    }

    /// The outputs that a request names, or all of them.
    ///
    /// # Errors
    /// [`Code::InvalidTensor`] for an output that there is not, or that is wanted in shared memory.
    pub(super) fn of_request(
        &self,
        requested: &[InferRequestedOutput],
        parameters: &InferParameters,
    ) -> Result<Vec<OutputPlan>, ApiError> {
        let default = if parameters.binary_data_output { OutputEncoding::Binary } else { OutputEncoding::Json };
        if requested.is_empty() {
            return Ok(self.all(default));
        }
        requested.iter().map(|output| self.of_output(output, default)).collect()
    }

    fn of_output(&self, output: &InferRequestedOutput, default: OutputEncoding) -> Result<OutputPlan, ApiError> {
        let name = &output.name;
        if output.parameters.shared_memory_region.is_some() {
            let detail = format!("output `{name}` is to go to shared memory, which the server has none of");
            return Err(ApiError::new(Code::InvalidTensor, detail));
        }
        let encoding = match output.parameters.binary_data {
            Some(true) => OutputEncoding::Binary,
            Some(false) => OutputEncoding::Json,
            None => default,
        };
        self.named(name, encoding, output.parameters.classification)
    }
}
