//! From the inputs of a request to images.

use std::sync::Arc;

use axum::body::Bytes;
use models::Preprocess;
use models::preprocess::PreparedImage;

use super::tensors::{self, BYTES, FP32, IMAGE, INPUT};
use crate::http::extract::base64;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::inference::Model;

/// The images of a request.
#[derive(Debug)]
pub(crate) enum InferImages {
    /// As the client prepared them.
    Pixels(Vec<PreparedImage>),
    /// For the server to prepare.
    Files(Vec<Bytes>),
}

/// How inputs are read.
pub(crate) struct InputReader {
    /// What the model's images are like.
    preprocess: Arc<Preprocess>,
    /// The most images of a request.
    most: usize,
}

/// An input of a request, with its elements, in whatever way they came.
#[derive(Debug)]
pub(crate) struct InputTensor {
    pub(crate) name: String,
    pub(crate) datatype: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) elements: Elements,
}

/// The elements of an input.
#[derive(Debug)]
pub(crate) enum Elements {
    Numbers(Vec<f32>),
    /// Files in base64.
    Texts(Vec<String>),
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "HTTP has no lists of files"))]
    Files(Vec<Bytes>),
    /// As in memory: numbers, or files with their lengths before them.
    Binary(Bytes),
}

impl InputReader {
    /// Reads what a model takes.
    pub(crate) fn new(state: &AppState, model: &Model) -> Self {
        Self { preprocess: model.preprocess().clone(), most: state.limits.images }
    }

    /// The images of the one input that a request must have.
    ///
    /// # Errors
    /// [`Code::InvalidTensor`] and its kind, with what was expected and what came.
    pub(crate) fn read(&self, mut inputs: Vec<InputTensor>) -> Result<InferImages, ApiError> {
        let count = inputs.len();
        match (inputs.pop(), count) {
            (Some(input), 1) => self.read_input(input),
            _ => Err(invalid(format!("the request has {count} inputs; send one, `{INPUT}` or `{IMAGE}`"))),
        }
    }

    /// A body without JSON: one tensor of pixels if it is as long, or else an image file.
    pub(super) fn read_raw(&self, body: Bytes) -> InferImages {
        let pixels = || {
            let (height, width) = self.preprocess.output_size()?;
            let shape = [3, height as usize, width as usize];
            let values = (body.len() == 4 * shape.iter().product::<usize>()).then(|| floats(&body))?;
            // A file may happen to be as long as the tensor. Its bytes are no pixels.
            self.preprocess.accept(shape, values).ok()
        };
        match pixels() {
            Some(image) => InferImages::Pixels(vec![image]),
            None => InferImages::Files(vec![body]),
        }
    }

    fn read_input(&self, input: InputTensor) -> Result<InferImages, ApiError> {
        let expected = tensors::inputs(&self.preprocess);
        let Some(expected) = expected.iter().find(|tensor| tensor.name == input.name) else {
            return Err(invalid(format!("there is no input `{}`; send `{INPUT}` or `{IMAGE}`", input.name)));
        };
        if input.datatype != expected.datatype {
            let (name, datatype, found) = (expected.name, expected.datatype, &input.datatype);
            return Err(invalid(format!("input `{name}` has the datatype {datatype}, not `{found}`")));
        }
        let unfit = || {
            let (name, shape, found) = (expected.name, &expected.shape, &input.shape);
            invalid(format!("input `{name}` has the shape {shape:?}, not {found:?}"))
        };
        let fits = |(size, found): (&i64, &u64)| *size == -1 || u64::try_from(*size).is_ok_and(|size| size == *found);
        // Clients send a list of files as `[n]` or `[n, 1]`.
        let list = input.name == IMAGE && input.shape.len() == 1;
        if !list && (input.shape.len() != expected.shape.len() || !expected.shape.iter().zip(&input.shape).all(fits)) {
            return Err(unfit());
        }
        let images = input.shape.first().and_then(|images| usize::try_from(*images).ok()).ok_or_else(unfit)?;
        if images == 0 {
            return Err(invalid(format!("input `{}` has no images; send 1 or more", input.name)));
        }
        if images > self.most {
            let detail = format!("input `{}` has {images} images; a request may have {}", input.name, self.most);
            return Err(ApiError::new(Code::TooManyImages, detail));
        }
        match input.datatype.as_str() {
            FP32 => self.pixels(input).map(InferImages::Pixels),
            _ => files(images, input.elements).map(InferImages::Files),
        }
    }

    fn pixels(&self, input: InputTensor) -> Result<Vec<PreparedImage>, ApiError> {
        let sizes: Option<Vec<usize>> = input.shape.iter().map(|size| usize::try_from(*size).ok()).collect();
        let total = sizes.as_ref().and_then(|sizes| sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size)));
        let (Some(&[images, channels, height, width]), Some(total)) = (sizes.as_deref(), total) else {
            return Err(invalid(format!("input `{INPUT}` has the shape {:?}, which is too large", input.shape)));
        };
        if total == 0 {
            return Err(invalid(format!("input `{INPUT}` has the shape {:?}, which has no pixels", input.shape)));
        }
        let values = match input.elements {
            Elements::Numbers(values) if values.len() == total => values,
            Elements::Binary(bytes) if Some(bytes.len()) == total.checked_mul(4) => floats(&bytes),
            Elements::Texts(_) | Elements::Files(_) => {
                return Err(invalid(format!("input `{INPUT}` is numbers, not texts")));
            }
            Elements::Numbers(values) => {
                return Err(invalid(format!(
                    "input `{INPUT}` has {total} numbers by its shape, and {} came",
                    values.len()
                )));
            }
            Elements::Binary(bytes) => {
                let detail = format!(
                    "input `{INPUT}` has {total} numbers of 4 bytes by its shape, and {} bytes came",
                    bytes.len()
                );
                return Err(invalid(detail));
            }
        };
        let shape = [channels, height, width];
        let image = |(index, values): (usize, &[f32])| {
            let accepted = self.preprocess.accept(shape, values.to_vec());
            accepted.map_err(|error| invalid(format!("image {} of {images}: {error}", index + 1)))
        };
        values.chunks(total / images).enumerate().map(image).collect()
    }
}

/// So many files.
fn files(count: usize, elements: Elements) -> Result<Vec<Bytes>, ApiError> {
    let files = match elements {
        Elements::Texts(texts) => {
            let file = |(index, text): (usize, String)| {
                base64::decode(&text).map_err(|error| invalid(format!("element {index} of `{IMAGE}`: {error}")))
            };
            texts.into_iter().enumerate().map(file).collect::<Result<_, _>>()?
        }
        Elements::Files(files) => files,
        Elements::Numbers(numbers) if numbers.is_empty() => Vec::new(),
        Elements::Numbers(_) => {
            return Err(invalid(format!("input `{IMAGE}` is {BYTES}: in JSON, image files in base64")));
        }
        Elements::Binary(bytes) => prefixed(bytes)?,
    };
    match files.len() == count {
        true => Ok(files),
        false => Err(invalid(format!("input `{IMAGE}` has {count} elements by its shape, and {} came", files.len()))),
    }
}

/// Elements with their lengths before them: "a 4-byte unsigned integer giving the length followed by the actual bytes".
fn prefixed(mut bytes: Bytes) -> Result<Vec<Bytes>, ApiError> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let Some(prefix) = bytes.first_chunk::<4>() else {
            let detail = format!("input `{IMAGE}` ends in {} bytes that are no length of an element", bytes.len());
            return Err(invalid(detail));
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        let rest = bytes.split_off(4);
        if length > rest.len() {
            let (index, left) = (elements.len(), rest.len());
            let detail = format!("element {index} of `{IMAGE}` has {length} bytes by its length, and {left} are left");
            return Err(invalid(detail));
        }
        bytes = rest;
        elements.push(bytes.split_to(length));
    }
    Ok(elements)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

pub(super) fn invalid(detail: String) -> ApiError {
    ApiError::new(Code::InvalidTensor, detail)
}
