//! The Open Inference Protocol as its text has it: requests, good and bad, with the answers that they must get.
//!
//! The requests are in `tests/data/inference_protocol.json`, each with the sentence of the protocol that it is about (KServe's
//! `inference_rest.md` and `required_api.md`, Triton's extensions). The model `colors` answers the mean of each channel as
//! a share of 255, so what it must answer is arithmetic.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::images::{channel_means, plain, write};
use tests::server::{Request, Sandbox, Server, text};

/// A softmax in f32 and the same in f64, rounded to seven digits.
const TOLERANCE: f64 = 2e-6;
const HEADER_LENGTH: &str = "inference-header-content-length";

/// A request and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What the protocol says.
    quote: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    /// The JSON of the body. Texts that begin with `@` stand for data.
    json: Option<Value>,
    /// The body as it is.
    text: Option<String>,
    /// What is behind the JSON.
    tensors: Option<Vec<Piece>>,
    /// In place of the JSON's length.
    header_length: Option<String>,
    coding: Option<String>,
    accept: Option<String>,
    status: u16,
    /// What the answer has; it may have more.
    answer: Option<Value>,
    /// Whether it has no body.
    #[serde(default)]
    empty: bool,
    /// Fields that it has not.
    #[serde(default)]
    absent: Vec<String>,
    /// What the error says, among other things.
    error: Option<String>,
    /// The numbers behind the JSON of the answer.
    floats: Option<Vec<f64>>,
    /// The bytes behind it, in pieces.
    binary: Option<Vec<String>>,
}

/// Bytes behind the JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Piece {
    Hex(String),
    /// An image of one color as a tensor.
    Pixels(String),
    /// The same as a file.
    File(String),
    /// The same with its length before it.
    Element(String),
}

#[test]
fn every_request_is_answered_as_the_protocol_says() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("colors.onnx"), &channel_means(Some(&["red", "green", "blue"])));
    write(&sandbox.path("bones.onnx"), &channel_means(None));
    for name in ["colors", "colors", "bones"] {
        let file = sandbox.path(&format!("{name}.onnx"));
        let _version = sandbox.succeed(&["import", text(&file), "--name", name]);
    }
    let _live = sandbox.succeed(&["models", "live", "colors", "2"]);
    let server = sandbox.serve(&["--engine", "tract", "--max-images", "4"]);
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/data/inference_protocol.json");
    let corpus = std::fs::read_to_string(corpus).expect("the corpus");
    let cases: Vec<Case> = serde_json::from_str(&corpus).expect("a list of cases");
    assert!(cases.len() >= 60, "{}", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| check(&server, case).err()).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn check(server: &Server, case: &Case) -> Result<(), String> {
    let failed = |what: String| format!("{} ({}): {what}", case.name, case.quote);
    let (headers, body) = case.request();
    let headers: Vec<(&str, String)> = headers.iter().map(|(name, value)| (&**name, value.clone())).collect();
    let response = server.request(Request { method: &case.method, path: &case.path, headers: &headers, body });
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let (length, coding, content_type) = (header(HEADER_LENGTH), header("content-encoding"), header("content-type"));
    let bytes = response.bytes().expect("a body");
    let bytes = match coding.as_deref() {
        Some("gzip") => unpack(GzDecoder::new(&*bytes)),
        Some("deflate") => unpack(ZlibDecoder::new(&*bytes)),
        _ => Ok(bytes.to_vec()),
    };
    let bytes = bytes.map_err(|error| failed(format!("the answer does not unpack: {error}")))?;
    if coding != case.accept {
        return Err(failed(format!("the answer is coded as {coding:?}")));
    }
    if case.empty {
        let fits = status == case.status && bytes.is_empty();
        let text = String::from_utf8_lossy(&bytes);
        return if fits { Ok(()) } else { Err(failed(format!("status {status} with a body of {text:?}"))) };
    }
    let (head, tail) = match &length {
        Some(length) => bytes.split_at(length.parse().map_err(|_| failed(format!("a length of {length}")))?),
        None => (&bytes[..], &[][..]),
    };
    let answer: Value = serde_json::from_slice(head)
        .map_err(|error| failed(format!("status {status}, no JSON: {error}: {}", String::from_utf8_lossy(head))))?;
    if status != case.status {
        return Err(failed(format!("status {status}: {answer}")));
    }
    if let Some(expected) = &case.error {
        let error = answer["error"].as_str().filter(|_| answer.as_object().is_some_and(|fields| fields.len() == 1));
        if !error.is_some_and(|error| error.contains(&**expected)) {
            return Err(failed(format!("{answer} is not an error that says {expected:?}")));
        }
    }
    if let Some(expected) = &case.answer {
        includes(&answer, expected).map_err(|what| failed(format!("{what} in {answer}")))?;
    }
    if let Some(field) = case.absent.iter().find(|field| answer.get(&***field).is_some()) {
        return Err(failed(format!("the answer has `{field}`: {answer}")));
    }
    let expected_type = if length.is_some() { "application/octet-stream" } else { "application/json" };
    if content_type.as_deref() != Some(expected_type) {
        return Err(failed(format!("the content type is {content_type:?}")));
    }
    check_tail(case, tail).map_err(failed)
}

fn unpack(mut reader: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map(|_| bytes)
}

/// The bytes behind the JSON of an answer.
fn check_tail(case: &Case, tail: &[u8]) -> Result<(), String> {
    if let Some(pieces) = &case.binary {
        let found = hex::encode(tail);
        return if found == pieces.concat() { Ok(()) } else { Err(format!("the bytes behind the JSON are {found}")) };
    }
    let expected = case.floats.clone().unwrap_or_default();
    let found: Vec<f32> = tail.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    let close = found.len() == expected.len()
        && tail.len() == 4 * found.len()
        && found.iter().zip(&expected).all(|(found, expected)| (f64::from(*found) - expected).abs() <= TOLERANCE);
    if close { Ok(()) } else { Err(format!("the numbers behind the JSON are {found:?}")) }
}

/// Objects may have more fields than expected; lists are as long, and numbers as large within the tolerance.
fn includes(found: &Value, expected: &Value) -> Result<(), String> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected.iter().try_for_each(|(name, expected)| {
            includes(found.get(name).unwrap_or(&Value::Null), expected).map_err(|what| format!("{name}: {what}"))
        }),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            found.iter().zip(expected).try_for_each(|(found, expected)| includes(found, expected))
        }
        (Value::Number(a), Value::Number(b))
            if a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= TOLERANCE) =>
        {
            Ok(())
        }
        _ if found == expected => Ok(()),
        _ => Err(format!("{found} is not {expected}")),
    }
}

impl Case {
    fn request(&self) -> (Vec<(String, String)>, Vec<u8>) {
        let tensors: Vec<u8> = self.tensors.iter().flatten().flat_map(Piece::bytes).collect();
        let json = match (&self.json, &self.text) {
            (Some(json), _) => expanded(json, tensors.len()).to_string(),
            (None, text) => text.clone().unwrap_or_default(),
        };
        let length = match self.header_length.as_deref() {
            Some("none") => None,
            Some(length) => Some(length.to_owned()),
            None => self.tensors.as_ref().map(|_| json.len().to_string()),
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.headers {
            headers.push((name.clone(), value.as_str().expect("headers are texts").to_owned()));
        }
        headers.extend(length.map(|length| (HEADER_LENGTH.to_owned(), length)));
        headers.extend(self.coding.clone().map(|coding| ("content-encoding".to_owned(), coding)));
        headers.extend(self.accept.clone().map(|coding| ("accept-encoding".to_owned(), coding)));
        let body = [json.into_bytes(), tensors].concat();
        let body = match self.coding.as_deref() {
            Some("gzip") => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).and_then(|()| encoder.finish()).expect("memory takes every byte")
            }
            Some("deflate") => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).and_then(|()| encoder.finish()).expect("memory takes every byte")
            }
            _ => body,
        };
        (headers, body)
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Hex(text) => hex::decode(text).expect("hexadecimal digits"),
            Self::Pixels(color) => pixels(color).iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::File(color) => plain(bytes(color)),
            Self::Element(color) => {
                let file = plain(bytes(color));
                [(file.len() as u32).to_le_bytes().to_vec(), file].concat()
            }
        }
    }
}

/// JSON with the data that its texts stand for: `@pixels R G B | R G B`, `@nested R G B`, `@file R G B`, and `@prefixed N` for
/// an input of N files behind the JSON.
fn expanded(value: &Value, behind: usize) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), expanded(value, behind))).collect(),
        Value::Array(values) => values.iter().map(|value| expanded(value, behind)).collect(),
        Value::String(text) => match text.split_once(' ') {
            Some(("@pixels", colors)) => json!(colors.split(" | ").flat_map(pixels).collect::<Vec<f32>>()),
            Some(("@nested", color)) => {
                let planes: Vec<Vec<Vec<f32>>> =
                    pixels(color).chunks(64).map(|plane| plane.chunks(8).map(<[f32]>::to_vec).collect()).collect();
                json!([planes])
            }
            Some(("@file", color)) => json!(STANDARD.encode(plain(bytes(color)))),
            Some(("@prefixed", count)) => {
                let shape = [count.parse::<u64>().expect("a number")];
                json!({"name": "image", "shape": shape, "datatype": "BYTES", "parameters": {"binary_data_size": behind}})
            }
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

/// An image of 8x8 pixels of one color, channels first.
fn pixels(color: &str) -> Vec<f32> {
    let channel = |value: &str| vec![value.parse::<f32>().expect("a number"); 64];
    color.split_whitespace().flat_map(channel).collect()
}

fn bytes(color: &str) -> [u8; 3] {
    let channels: Vec<u8> = color.split_whitespace().map(|value| value.parse().expect("a byte")).collect();
    channels.try_into().expect("three channels")
}
