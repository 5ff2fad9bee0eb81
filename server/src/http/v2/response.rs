//! The answer to an inference request: JSON, and the bytes behind it.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{InferAnswer, OutputData, OutputTensor};
use super::body::HEADER_LENGTH;
use super::output::OutputEncoding;
use crate::http::extract::ContentCoding;
use crate::http::problem::ApiError;

/// What the images show.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InferResponse {
    /// The model that answered.
    #[schema(example = "flowers")]
    model_name: String,
    /// The number of the version that answered, as text.
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
    /// `probabilities`, `logits` or `uncertain`.
    #[schema(example = "probabilities")]
    name: &'static str,
    /// `FP32` for values, `BYTES` for classes and reasons.
    #[schema(example = "FP32")]
    datatype: &'static str,
    /// Images, and values or classes of each.
    #[schema(example = json!([1, 3]))]
    shape: [usize; 2],
    /// Where its elements are, if not in `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<InferOutputLocation>,
    /// Its elements, row-major: numbers, classes as texts `value:index:label`, or why each image's answer is uncertain, empty where it is
    /// not.
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

impl InferAnswer {
    /// The answer, compressed as the client likes.
    ///
    /// # Errors
    /// It could not be compressed.
    pub(super) async fn write(self, coding: ContentCoding) -> Result<Response, ApiError> {
        let mut bytes = Vec::new();
        let plans = self.outputs.iter().map(|plan| plan.encoding);
        let outputs = self.tensors().into_iter().zip(plans);
        let outputs: Vec<InferOutput> =
            outputs.map(|(tensor, encoding)| InferOutput::of(tensor, encoding, &mut bytes)).collect();
        let binary = outputs.iter().any(|output| output.parameters.is_some());
        let model = self.call.model();
        let json = InferResponse {
            model_name: model.name().to_string(),
            model_version: model.version().to_string(),
            id: self.id.filter(|id| !id.is_empty()),
            outputs,
        };
        let mut body = serde_json::to_vec(&json).map_err(ApiError::internal)?;
        let length = body.len();
        body.append(&mut bytes);
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
}

impl InferOutput {
    /// An output. Elements that do not go into the JSON are put behind `bytes`.
    fn of(tensor: OutputTensor, encoding: OutputEncoding, bytes: &mut Vec<u8>) -> Self {
        let OutputTensor { name, datatype, shape, data } = tensor;
        match encoding {
            OutputEncoding::Json => Self { name, datatype, shape, parameters: None, data: Some(data) },
            OutputEncoding::Binary => {
                let start = bytes.len();
                data.append_to(bytes);
                let parameters = Some(InferOutputLocation { binary_data_size: bytes.len() - start });
                Self { name, datatype, shape, parameters, data: None }
            }
        }
    }
}
