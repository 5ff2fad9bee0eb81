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
        let model = self.call.model();
        let kind = model.scores().kind;
        let values = |row: &Vec<f32>| match plan.values {
            OutputValues::Logits => row.clone(),
            OutputValues::Scores => kind.scores(row),
        };
        let rows: Vec<Vec<f32>> = self.rows.iter().map(values).collect();
        let (datatype, width, data) = match plan.classification {
            0 => (FP32, model.labels().len(), OutputData::Numbers(rows.concat())),
            most => {
                let classes: Vec<Vec<String>> = rows.iter().map(|row| self.classes(row, most)).collect();
                (BYTES, classes.first().map_or(0, Vec::len), OutputData::Texts(classes.concat()))
            }
        };
        OutputTensor { name: plan.values.name(), datatype, shape: [rows.len(), width], data }
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
