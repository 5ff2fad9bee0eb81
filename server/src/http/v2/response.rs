//! The answer to an inference request: JSON, and the bytes behind it.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use models::scores::top_k;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::HEADER_LENGTH;
use super::output::{OutputEncoding, OutputPlan, OutputValues};
use super::tensors::{BYTES, FP32};
use crate::http::extract::ContentCoding;
use crate::http::problem::ApiError;
use crate::inference::Model;

/// What the images show.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InferResponse {
    /// The model that answered.
    #[schema(example = "flowers")]
    model_name: String,
    /// Its version.
    #[schema(example = "3")]
    model_version: String,
    /// That of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "42")]
    id: Option<String>,
    /// In the order of the request.
    outputs: Vec<InferOutput>,
}

/// An output tensor.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InferOutput {
    /// `probabilities` or `logits`.
    #[schema(example = "probabilities")]
    name: &'static str,
    /// `FP32` for values, `BYTES` for classes.
    #[schema(example = "FP32")]
    datatype: &'static str,
    /// Images, and values or classes of each.
    #[schema(example = json!([1, 3]))]
    shape: [usize; 2],
    /// Where its elements are, if not in `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<InferOutputLocation>,
    /// Its elements, row-major: numbers, or classes as texts `value:index:label`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Vec<Value>>, example = json!([0.9, 0.06, 0.04]))]
    data: Option<OutputData>,
}

/// Where the elements of an output are.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InferOutputLocation {
    /// So many bytes behind the JSON.
    #[schema(example = 12)]
    binary_data_size: usize,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum OutputData {
    Numbers(Vec<f32>),
    Texts(Vec<String>),
}

/// An answer that is to be written.
pub(super) struct InferAnswer<'a> {
    pub(super) model: &'a Model,
    /// The logits of each image.
    pub(super) rows: Vec<Vec<f32>>,
    pub(super) outputs: Vec<OutputPlan>,
    pub(super) id: Option<String>,
}

impl InferAnswer<'_> {
    /// The answer, compressed as the client likes.
    ///
    /// # Errors
    /// It could not be compressed.
    pub(super) async fn write(self, coding: ContentCoding) -> Result<Response, ApiError> {
        let mut tensors = Vec::new();
        let outputs: Vec<InferOutput> = self.outputs.iter().map(|plan| self.output(*plan, &mut tensors)).collect();
        let binary = outputs.iter().any(|output| output.parameters.is_some());
        let json = InferResponse {
            model_name: self.model.name().to_string(),
            model_version: self.model.version().to_string(),
            id: self.id.filter(|id| !id.is_empty()),
            outputs,
        };
        let mut body = serde_json::to_vec(&json).map_err(ApiError::internal)?;
        let length = body.len();
        body.append(&mut tensors);
        let mut response = Response::new(Body::from(coding.encode(body).await?));
        let headers = response.headers_mut();
        let content_type = if binary { "application/octet-stream" } else { "application/json" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if binary {
            headers.insert(HeaderName::from_static(HEADER_LENGTH), HeaderValue::from(length));
        }
        if let Some(coding) = coding.header() {
            headers.insert(header::CONTENT_ENCODING, coding);
        }
        Ok(response)
    }

    /// One output. Elements that do not go into the JSON are put behind `tensors`.
    fn output(&self, plan: OutputPlan, tensors: &mut Vec<u8>) -> InferOutput {
        let kind = self.model.scores().kind;
        let values = |row: &Vec<f32>| match plan.values {
            OutputValues::Logits => row.clone(),
            OutputValues::Scores => kind.scores(row),
        };
        let rows: Vec<Vec<f32>> = self.rows.iter().map(values).collect();
        let (datatype, width, data) = match plan.classification {
            0 => (FP32, self.model.labels().len(), OutputData::Numbers(rows.concat())),
            most => {
                let classes: Vec<Vec<String>> = rows.iter().map(|row| self.classes(row, most)).collect();
                (BYTES, classes.first().map_or(0, Vec::len), OutputData::Texts(classes.concat()))
            }
        };
        let shape = [rows.len(), width];
        let name = plan.values.name();
        match plan.encoding {
            OutputEncoding::Json => InferOutput { name, datatype, shape, parameters: None, data: Some(data) },
            OutputEncoding::Binary => {
                let start = tensors.len();
                data.append_to(tensors);
                let parameters = Some(InferOutputLocation { binary_data_size: tensors.len() - start });
                InferOutput { name, datatype, shape, parameters, data: None }
            }
        }
    }

    /// The best classes of an image as Triton writes them: "`<value>:<index>[:<label>]`", the value as `std::to_string` does,
    /// with six decimals.
    fn classes(&self, row: &[f32], most: usize) -> Vec<String> {
        let labels = self.model.labels();
        let text = |class: usize| match labels.get(class) {
            Some(label) => format!("{:.6}:{class}:{label}", row[class]),
            None => format!("{:.6}:{class}", row[class]),
        };
        top_k(row, most).into_iter().map(text).collect()
    }
}

impl OutputData {
    /// Little-endian, without padding; texts with their lengths before them.
    fn append_to(&self, bytes: &mut Vec<u8>) {
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
