//! What a model says of the images of a request, in the tensors of the protocol.

use models::scores::top_k;
use serde::Serialize;

use super::output::{OutputPlan, OutputValues};
use super::tensors::{BYTES, FP32};
use crate::http::v1::call::ModelCall;

/// An answer that is to be written.
pub(crate) struct InferAnswer {
    pub(crate) call: ModelCall,
    /// The logits of each image.
    pub(super) rows: Vec<Vec<f32>>,
    pub(super) outputs: Vec<OutputPlan>,
    pub(crate) id: Option<String>,
}

/// An output with its elements.
pub(crate) struct OutputTensor {
    pub(crate) name: &'static str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: [usize; 2],
    pub(crate) data: OutputData,
}

/// The elements of an output, row-major.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum OutputData {
    Numbers(Vec<f32>),
    Texts(Vec<String>),
}

impl InferAnswer {
    /// The outputs in the order of the request.
    pub(crate) fn tensors(&self) -> Vec<OutputTensor> {
        self.outputs.iter().map(|plan| self.tensor(*plan)).collect()
    }

    fn tensor(&self, plan: OutputPlan) -> OutputTensor {
        let scores = self.call.model().scores();
        let (datatype, width, data) = match plan.values {
            OutputValues::Logits => self.values(&self.rows, plan.classification),
            OutputValues::Scores => {
                let rows: Vec<Vec<f32>> = self.rows.iter().map(|row| scores.kind.scores(row)).collect();
                self.values(&rows, plan.classification)
            }
            OutputValues::Doubts => {
                let doubts = self.rows.iter().map(|row| scores.doubt(row));
                // Elements of a tensor are never missing.
                let texts = doubts.map(|doubt| doubt.map_or_else(String::new, |doubt| doubt.name().to_owned()));
                (BYTES, 1, OutputData::Texts(texts.collect()))
            }
        };
        OutputTensor { name: plan.values.name(), datatype, shape: [self.rows.len(), width], data }
    }

    /// The datatype, width and elements of an output with a value for each class, or of its best classes.
    fn values(&self, rows: &[Vec<f32>], classification: usize) -> (&'static str, usize, OutputData) {
        if classification == 0 {
            return (FP32, self.call.model().labels().len(), OutputData::Numbers(rows.concat()));
        }
        let classes: Vec<Vec<String>> = rows.iter().map(|row| self.classes(row, classification)).collect();
        (BYTES, classes.first().map_or(0, Vec::len), OutputData::Texts(classes.concat()))
    }

    /// The best classes of an image as Triton writes them: "`<value>:<index>[:<label>]`", the value as `std::to_string` does,
    /// with six decimals.
    fn classes(&self, row: &[f32], most: usize) -> Vec<String> {
        let labels = self.call.model().labels();
        let text = |class: usize| match labels.get(class) {
            Some(label) => format!("{:.6}:{class}:{label}", row[class]),
            None => format!("{:.6}:{class}", row[class]),
        };
        top_k(row, most).into_iter().map(text).collect()
    }
}

impl OutputData {
    /// Little-endian, without padding; texts with their lengths before them.
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Numbers(numbers) => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            Self::Texts(texts) => {
                for text in texts {
                    bytes.extend((text.len() as u32).to_le_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
    }
}
