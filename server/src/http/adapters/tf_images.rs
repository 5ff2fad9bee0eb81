//! The images in requests of TensorFlow Serving's REST API.

use std::fmt;

use axum::body::Bytes;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use utoipa::ToSchema;

use crate::http::extract::{base64, not_null};
use crate::http::problem::{ApiError, Code};

/// What there has to be in place of anything else.
const IMAGE: &str = "an image file as {\"b64\": …}; pixels are not taken here";

/// Images to classify: `instances` (row format) or `inputs` (column format).
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct TfPredictRequest {
    /// `serving_default`, or left out.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = "serving_default")]
    signature_name: Option<String>,
    /// An image each: `{"b64": …}`, or an object with one field that is that.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, value_type = Option<Vec<Object>>, example = json!([{"b64": "iVBORw0KGgo…"}]))]
    instances: Option<Vec<TfImage>>,
    /// The images as a list, or an object with one field that is the list.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(
        nullable = false, value_type = Option<serde_json::Value>,
        example = json!({"image_bytes": [{"b64": "iVBORw0KGgo…"}]}),
    )]
    inputs: Option<TfColumn>,
}

/// Images to classify.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct TfClassifyRequest {
    /// `serving_default`, or left out.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = "serving_default")]
    signature_name: Option<String>,
    /// An image each: an object with one field that is `{"b64": …}`.
    #[schema(value_type = Vec<Object>, min_items = 1, example = json!([{"image": {"b64": "iVBORw0KGgo…"}}]))]
    examples: Vec<TfImage>,
}

/// The images of a request, and how its answer is laid out.
pub(super) enum TfImages {
    Rows(Vec<Bytes>),
    Columns(Vec<Bytes>),
}

/// The base64 of an image. Anything else is refused where it begins: pixels in JSON are megabytes of numbers.
#[derive(Debug, Clone)]
struct TfImage(String);

/// Images, however deep in objects of one field.
#[derive(Debug, Clone)]
struct TfColumn(Vec<TfImage>);

impl TfPredictRequest {
    /// # Errors
    /// The first image that is none.
    pub(super) fn images(&self) -> Result<TfImages, ApiError> {
        check_signature(self.signature_name.as_deref())?;
        match (&self.instances, &self.inputs) {
            (Some(rows), None) => images(rows, "instances").map(TfImages::Rows),
            (None, Some(column)) => images(&column.0, "inputs").map(TfImages::Columns),
            _ => Err(ApiError::new(Code::InvalidBody, "send `instances` or `inputs`, one of them")),
        }
    }
}

impl TfClassifyRequest {
    /// # Errors
    /// The first image that is none.
    pub(super) fn images(&self) -> Result<Vec<Bytes>, ApiError> {
        check_signature(self.signature_name.as_deref())?;
        images(&self.examples, "examples")
    }
}

fn check_signature(name: Option<&str>) -> Result<(), ApiError> {
    match name {
        None | Some("" | "serving_default") => Ok(()),
        Some(name) => {
            let detail = format!("there is no signature `{name}`; leave `signature_name` out");
            Err(ApiError::new(Code::InvalidBody, detail))
        }
    }
}

fn images(list: &[TfImage], field: &str) -> Result<Vec<Bytes>, ApiError> {
    if list.is_empty() {
        return Err(ApiError::new(Code::ImageMissing, format!("{field}: send at least one image")));
    }
    let image = |(index, TfImage(text)): (usize, &TfImage)| {
        base64::decode(text).map_err(|error| ApiError::new(Code::InvalidBody, format!("{field}[{index}]: {error}")))
    };
    list.iter().enumerate().map(image).collect()
}

impl<'de> Deserialize<'de> for TfImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let TfColumn(mut images) = deserializer.deserialize_map(Images)?;
        match (images.pop(), images.is_empty()) {
            (Some(image), true) => Ok(image),
            _ => Err(de::Error::custom(format!("send {IMAGE}"))),
        }
    }
}

impl<'de> Deserialize<'de> for TfColumn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Images)
    }
}

struct Images;

impl<'de> Visitor<'de> for Images {
    type Value = TfColumn;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(IMAGE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TfColumn, A::Error> {
        let mut images = Vec::new();
        while let Some(image) = list.next_element()? {
            images.push(image);
        }
        Ok(TfColumn(images))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<TfColumn, A::Error> {
        let images = match fields.next_key::<String>()?.as_deref() {
            Some("b64") => TfColumn(vec![TfImage(fields.next_value()?)]),
            Some(_) => fields.next_value()?,
            None => return Err(de::Error::custom(format!("send {IMAGE}"))),
        };
        match fields.next_key::<String>()? {
            None => Ok(images),
            Some(field) => Err(de::Error::custom(format!("there is a second field, `{field}`; send {IMAGE}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::extract::parse_json;

    fn read(body: &Value) -> Result<(Vec<Bytes>, &'static str), ApiError> {
        let request: TfPredictRequest = parse_json(body.to_string().as_bytes())?;
        Ok(match request.images()? {
            TfImages::Rows(images) => (images, "rows"),
            TfImages::Columns(images) => (images, "columns"),
        })
    }

    #[test]
    fn images_come_as_rows_or_as_a_column() {
        // TensorFlow Serving's "RESTful API": "Encoding binary values", "Specifying input tensors in row format" and "in column
        // format". "aGk=" is "hi".
        let (row, image) = (json!({"b64": "aGk="}), vec![Bytes::from_static(b"hi")]);
        assert_eq!(read(&json!({"instances": [row]})).unwrap(), (image.clone(), "rows"));
        assert_eq!(read(&json!({"instances": [{"image_bytes": row}]})).unwrap(), (image.clone(), "rows"));
        assert_eq!(read(&json!({"inputs": [row]})).unwrap(), (image.clone(), "columns"));
        assert_eq!(read(&json!({"inputs": {"image_bytes": [row]}})).unwrap(), (image.clone(), "columns"));
        assert_eq!(read(&json!({"inputs": row})).unwrap(), (image, "columns"));
    }

    #[test]
    fn what_is_no_image_is_named() {
        for (body, expected) in [
            (json!({}), "send `instances` or `inputs`"),
            (json!({"instances": [], "inputs": []}), "send `instances` or `inputs`"),
            (json!({"instances": []}), "instances: send at least one image"),
            (json!({"instances": [{"b64": "aGk="}, [1.0, 2.0]]}), "invalid type: sequence, expected an image file as"),
            (json!({"instances": [1.0, 2.0]}), "invalid type: floating point `1.0`, expected an image file as"),
            (
                json!({"instances": [{"b64": "aGk=", "key": 1}]}),
                "there is a second field, `key`; send an image file as",
            ),
            (json!({"instances": [{}]}), "send an image file as {\"b64\": …}"),
            (json!({"instances": [{"b64": "ä"}]}), "instances[0]: it is not base64"),
            (json!({"instances": [{"b64": "aGk="}], "signature_name": "train"}), "there is no signature `train`"),
        ] {
            let error = read(&body).unwrap_err();
            assert!(error.detail().is_some_and(|detail| detail.starts_with(expected)), "{body}: {error:?}");
        }
    }
}
