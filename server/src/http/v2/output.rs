//! Which outputs a request is answered with, and how.

use super::request::{InferParameters, InferRequestedOutput};
use super::tensors::{LOGITS, PROBABILITIES};
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
}

/// Where an output's elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputEncoding {
    Json,
    Binary,
}

impl OutputValues {
    const ALL: [Self; 2] = [Self::Logits, Self::Scores];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Logits => LOGITS,
            Self::Scores => PROBABILITIES,
        }
    }

    /// Those that a request names.
    ///
    /// # Errors
    /// [`Code::InvalidTensor`] for an output that there is not.
    pub(crate) fn named(name: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|values| values.name() == name).ok_or_else(|| {
            let detail = format!("there is no output `{name}`; ask for `{PROBABILITIES}` or `{LOGITS}`");
            ApiError::new(Code::InvalidTensor, detail)
        })
    }
}

impl OutputPlan {
    /// Every output, its elements encoded so.
    pub(crate) fn all(encoding: OutputEncoding) -> Vec<Self> {
        OutputValues::ALL.map(|values| Self { values, encoding, classification: 0 }).into()
    }

    /// The outputs that a request names, or all of them.
    ///
    /// # Errors
    /// [`Code::InvalidTensor`] for an output that there is not, or that is wanted in shared memory.
    pub(super) fn of_request(
        requested: &[InferRequestedOutput],
        parameters: &InferParameters,
    ) -> Result<Vec<Self>, ApiError> {
        let default = if parameters.binary_data_output { OutputEncoding::Binary } else { OutputEncoding::Json };
        if requested.is_empty() {
            return Ok(Self::all(default));
        }
        requested.iter().map(|output| Self::of_output(output, default)).collect()
    }

    fn of_output(output: &InferRequestedOutput, default: OutputEncoding) -> Result<Self, ApiError> {
        let name = &output.name;
        if output.parameters.shared_memory_region.is_some() {
            let detail = format!("output `{name}` is to go to shared memory, which the server has none of");
            return Err(ApiError::new(Code::InvalidTensor, detail));
        }
        let values = OutputValues::named(name)?;
        let encoding = match output.parameters.binary_data {
            Some(true) => OutputEncoding::Binary,
            Some(false) => OutputEncoding::Json,
            None => default,
        };
        Ok(Self { values, encoding, classification: output.parameters.classification })
    }
}
