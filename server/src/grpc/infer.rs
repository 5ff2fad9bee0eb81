//! Images or tensors in, tensors or classes out.

use std::collections::HashMap;

use axum::extract::{Request, State};
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::calls::target;
use super::frame::{Message, read};
use super::proto::{
    InferInputTensor, InferOutputTensor, InferParameter, InferRequestedOutputTensor, InferTensorContents,
    ModelInferRequest, ModelInferResponse,
};
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::http::v1::call::{CallContext, ModelCall};
use crate::http::v2::infer::{ParsedRequest, RequestReader, micros};
use crate::http::v2::input::{Elements, InputTensor};
use crate::http::v2::output::{OutputEncoding, OutputPlan, OutputReader};
use crate::http::v2::tensors::{BYTES, FP32};

type Parameters = HashMap<String, InferParameter>;

/// The model is named in the message, so that the message is read before the model is asked for room.
pub(super) async fn model_infer(
    State(state): State<AppState>,
    request: Request,
) -> Result<Message<ModelInferResponse>, ApiError> {
    let context = CallContext::of(&request);
    let message: ModelInferRequest = read(request, &state).await?;
    let target = target(message.model_name.clone(), message.model_version.clone());
    let call = ModelCall::admit(&state, Some(&target.name), context).await?;
    target.check_version(Some(call.model().version()))?;
    let reader = RequestReader::new(&state, &call);
    let parsed = spawn_blocking(move || parse(message, &reader)).await.map_err(ApiError::internal)??;
    let answer = parsed.run(&state, call).await?;
    let mut outputs = Vec::new();
    let mut raw_output_contents = Vec::new();
    for tensor in answer.tensors() {
        let mut bytes = Vec::new();
        tensor.data.append_to(&mut bytes);
        raw_output_contents.push(Bytes::from(bytes));
        outputs.push(InferOutputTensor {
            name: tensor.name.to_owned(),
            datatype: tensor.datatype.to_owned(),
            shape: tensor.shape.map(|size| size as i64).into(),
        });
    }
    let model = answer.call.model();
    Ok(Message(ModelInferResponse {
        model_name: model.name().to_string(),
        model_version: model.version().to_string(),
        id: answer.id.clone().unwrap_or_default(),
        outputs,
        raw_output_contents,
    }))
}

/// Streams have no use for images: each is answered once, by itself.
pub(super) async fn model_stream_infer() -> ApiError {
    ApiError::new(Code::RouteNotFound, "the server has no streams; send each request with `ModelInfer`")
}

fn parse(request: ModelInferRequest, reader: &RequestReader) -> Result<ParsedRequest, ApiError> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents, .. } = request;
    let outputs = match outputs.is_empty() {
        true => reader.outputs.all(OutputEncoding::Binary),
        false => outputs.iter().map(|output| plan(output, &reader.outputs)).collect::<Result<_, _>>()?,
    };
    Ok(ParsedRequest {
        outputs,
        images: reader.inputs.read(tensors(inputs, raw_input_contents)?)?,
        id: Some(id),
        timeout: whole(&parameters, "timeout")?.and_then(micros),
    })
}

fn plan(output: &InferRequestedOutputTensor, reader: &OutputReader) -> Result<OutputPlan, ApiError> {
    let InferRequestedOutputTensor { name, parameters } = output;
    refuse_shared_memory("output", name, parameters)?;
    let classes =
        whole(parameters, "classification")?.map_or(0, |classes| usize::try_from(classes).unwrap_or(usize::MAX));
    reader.named(name, OutputEncoding::Binary, classes)
}

/// The inputs with their elements, all of which are raw, or none.
fn tensors(inputs: Vec<InferInputTensor>, raw: Vec<Bytes>) -> Result<Vec<InputTensor>, ApiError> {
    if raw.is_empty() {
        return inputs
            .into_iter()
            .map(|mut input| {
                let contents = input.contents.take();
                let elements = typed(&input, contents.ok_or_else(|| without_elements(&input.name))?)?;
                tensor(input, elements)
            })
            .collect();
    }
    if raw.len() != inputs.len() {
        let detail =
            format!("there are {} `raw_input_contents` for {} inputs; send one for each", raw.len(), inputs.len());
        return Err(invalid(detail));
    }
    let both = |input: &InferInputTensor| {
        invalid(format!("input `{}` has `contents` beside `raw_input_contents`; send one", input.name))
    };
    let given = inputs.into_iter().zip(raw).map(|(input, raw)| match input.contents {
        Some(_) => Err(both(&input)),
        None => tensor(input, Elements::Binary(raw)),
    });
    given.collect()
}

fn tensor(input: InferInputTensor, elements: Elements) -> Result<InputTensor, ApiError> {
    let InferInputTensor { name, datatype, shape, parameters, .. } = input;
    refuse_shared_memory("input", &name, &parameters)?;
    let sizes = shape.iter().map(|size| u64::try_from(*size)).collect::<Result<_, _>>();
    let shape = sizes.map_err(|_| invalid(format!("input `{name}` has the shape {shape:?}; no size is negative")))?;
    Ok(InputTensor { name, datatype, shape, elements })
}

/// The elements in the field for their type.
fn typed(input: &InferInputTensor, contents: InferTensorContents) -> Result<Elements, ApiError> {
    let InferTensorContents { fp32_contents, bytes_contents } = contents;
    match (input.datatype.as_str(), fp32_contents.is_empty(), bytes_contents.is_empty()) {
        (FP32, false, true) => Ok(Elements::Numbers(fp32_contents)),
        (BYTES, true, false) => Ok(Elements::Files(bytes_contents)),
        (_, true, true) => Err(without_elements(&input.name)),
        _ => {
            let (name, datatype) = (&input.name, &input.datatype);
            let detail = format!(
                "input `{name}` has the datatype `{datatype}` and elements of another; {FP32} is in `fp32_contents`, {BYTES} in `bytes_contents`"
            );
            Err(invalid(detail))
        }
    }
}

fn without_elements(name: &str) -> ApiError {
    let detail =
        format!("input `{name}` has no elements; send `raw_input_contents`, `fp32_contents` or `bytes_contents`");
    invalid(detail)
}

fn refuse_shared_memory(kind: &str, name: &str, parameters: &Parameters) -> Result<(), ApiError> {
    match parameters.contains_key("shared_memory_region") {
        false => Ok(()),
        true => {
            Err(invalid(format!("{kind} `{name}` is in shared memory, which the server has none of; send the data")))
        }
    }
}

/// A parameter that is a number, 0 or more.
fn whole(parameters: &Parameters, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(parameter) = parameters.get(name) else { return Ok(None) };
    let number = parameter.uint64.or_else(|| parameter.int64.and_then(|number| u64::try_from(number).ok()));
    let invalid = || ApiError::new(Code::InvalidBody, format!("parameters.{name}: send a whole number, 0 or more"));
    number.map(Some).ok_or_else(invalid)
}

fn invalid(detail: String) -> ApiError {
    ApiError::new(Code::InvalidTensor, detail)
}
