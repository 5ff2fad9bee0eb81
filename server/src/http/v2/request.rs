//! The JSON of an inference request. Fields that the protocol does not name are passed over, as its servers do.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use utoipa::ToSchema;

use crate::http::extract::not_null;

/// More texts than this are no images of one request. An empty one is eight times as large in memory as in JSON.
const MOST_TEXTS: usize = 10_000;

/// Images or tensors to classify.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct InferRequest {
    /// Comes back in the answer.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = "42")]
    pub(super) id: Option<String>,
    /// How to answer.
    #[serde(default)]
    pub(super) parameters: InferParameters,
    /// One of the model's inputs.
    #[serde(deserialize_with = "at_most::<_, _, 16>")]
    #[schema(min_items = 1)]
    pub(super) inputs: Vec<InferInput>,
    /// Which outputs to answer; all where none is named.
    #[serde(default, deserialize_with = "at_most::<_, _, 16>")]
    pub(super) outputs: Vec<InferRequestedOutput>,
}

/// How to answer. Others than these are passed over, `priority` among them: all requests of a model wait in one queue.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct InferParameters {
    /// Whether outputs come as bytes behind the JSON, unless they say otherwise themselves.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) binary_data_output: bool,
    /// How long the answer is of use, in microseconds; 0 is as long as the server allows.
    #[serde(default)]
    #[schema(default = 0, example = 500_000)]
    pub(super) timeout: u64,
}

/// An input tensor.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct InferInput {
    /// `input` for pixels, `image` for whole files.
    #[schema(example = "image")]
    pub(super) name: String,
    /// Its sizes, the batch first.
    #[serde(deserialize_with = "at_most::<_, _, 16>")]
    #[schema(example = json!([1]))]
    pub(super) shape: Vec<u64>,
    /// `FP32` for `input`, `BYTES` for `image`.
    #[schema(example = "BYTES")]
    pub(super) datatype: String,
    /// Where its elements are, if not in `data`.
    #[serde(default)]
    pub(super) parameters: InferInputParameters,
    /// Its elements, row-major, nested or flat: numbers for `FP32`, image files in base64 for `BYTES`.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, value_type = Option<Vec<serde_json::Value>>, example = json!(["iVBORw0KGgo…"]))]
    pub(super) data: Option<TensorData>,
}

/// Where the elements of an input are.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct InferInputParameters {
    /// So many bytes behind the JSON.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = 602_112)]
    pub(super) binary_data_size: Option<usize>,
    /// Shared memory, which the server has none of.
    #[serde(default)]
    #[schema(ignore)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

/// An output that is asked for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct InferRequestedOutput {
    /// `probabilities`, `logits`, or `uncertain` of a model that says when it is.
    #[schema(example = "probabilities")]
    pub(super) name: String,
    /// How it is to come.
    #[serde(default)]
    pub(super) parameters: InferOutputParameters,
}

/// How an output is to come.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct InferOutputParameters {
    /// Whether it comes as bytes behind the JSON.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = false)]
    pub(super) binary_data: Option<bool>,
    /// The best so many classes as texts `value:index:label` in place of all values; 0 for all values.
    #[serde(default)]
    #[schema(default = 0, example = 3)]
    pub(super) classification: usize,
    /// Shared memory, which the server has none of.
    #[serde(default)]
    #[schema(ignore)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

/// A list that is short in every sensible request. In memory its items are many times as large as in JSON.
fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Items<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Items<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                if items.len() == MOST {
                    return Err(de::Error::invalid_length(MOST + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items::<T, MOST>(PhantomData))
}

/// The elements of a tensor in JSON, in their order, however they are nested.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TensorData {
    Numbers(Vec<f32>),
    Texts(Vec<String>),
}

impl<'de> Deserialize<'de> for TensorData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Elements { numbers: Vec::new(), texts: Vec::new() };
        deserializer.deserialize_seq(Nested(&mut elements))?;
        Ok(match elements.texts.is_empty() {
            true => Self::Numbers(elements.numbers),
            false => Self::Texts(elements.texts),
        })
    }
}

struct Elements {
    numbers: Vec<f32>,
    texts: Vec<String>,
}

/// A list, or an element of one.
struct Nested<'a>(&'a mut Elements);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, or texts, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Nested(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        if !self.0.texts.is_empty() {
            return Err(E::custom("a tensor has numbers or texts, not both"));
        }
        self.0.numbers.push(number as f32);
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if !self.0.numbers.is_empty() {
            return Err(E::custom("a tensor has numbers or texts, not both"));
        }
        if self.0.texts.len() == MOST_TEXTS {
            return Err(E::custom(format!("a tensor has at most {MOST_TEXTS} texts")));
        }
        self.0.texts.push(text.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Result<TensorData, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn elements_are_read_in_their_order_nested_or_flat() {
        // KServe's required_api.md, "Tensor Data": "Tensor elements may be presented in their nature multi-dimensional
        // representation, or as a flattened one-dimensional representation."
        let numbers = TensorData::Numbers(vec![1.0, 2.5, -3.0, 4.0]);
        assert_eq!(data("[1, 2.5, -3, 4]").unwrap(), numbers);
        assert_eq!(data("[[1, 2.5], [-3, 4]]").unwrap(), numbers);
        assert_eq!(data(r#"[["a"], ["b"]]"#).unwrap(), TensorData::Texts(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(data("[]").unwrap(), TensorData::Numbers(Vec::new()));
    }

    #[test]
    fn a_list_that_no_sensible_request_has_is_refused_while_it_is_read() {
        let shape = vec!["1"; 17].join(",");
        let request = format!(r#"{{"inputs": [{{"name": "input", "shape": [{shape}], "datatype": "FP32"}}]}}"#);
        let error = serde_json::from_str::<InferRequest>(&request).unwrap_err().to_string();
        assert!(error.starts_with("invalid length 17, expected a list of at most 16"), "{error}");
    }

    #[test]
    fn what_is_no_tensor_is_refused() {
        for text in ["1", "{}", "null", "[true]", "[null]", "[1, \"a\"]", "[\"a\", 1]", "[{}]"] {
            let error = data(text).unwrap_err().to_string();
            assert!(
                error.starts_with("invalid type: ") || error.starts_with("a tensor has numbers or texts, not both"),
                "{text}: {error}"
            );
        }
        let many = format!("[{}\"\"]", "\"\",".repeat(MOST_TEXTS));
        assert!(data(&many).unwrap_err().starts_with("a tensor has at most 10000 texts"));
    }
}
