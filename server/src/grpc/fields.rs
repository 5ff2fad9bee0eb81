//! How many fields a message may have, counted before it is decoded: two bytes may become hundreds in memory.

use bytes::Bytes;

use crate::http::problem::{ApiError, Code};

/// Inputs, outputs, parameters, sizes of a tensor: short lists in every sensible request.
const MOST_FIELDS: usize = 64;
/// More elements than this are no images of one request.
const MOST_ELEMENTS: usize = 10_000;
/// The bytes of a shape; a size has ten at most.
const LONGEST_SHAPE: usize = 160;

/// The fields of `ModelInferRequest` and `InferInputTensor` that are looked into.
const INPUTS: u32 = 5;
const SHAPE: u32 = 3;
const CONTENTS: u32 = 5;

/// Refuses a `ModelInferRequest` that would take many times as much memory as it has bytes.
///
/// # Errors
/// [`Code::InvalidBody`].
pub(super) fn check(message: &Bytes) -> Result<(), ApiError> {
    let mut count = 0;
    for input in walk(message, &mut count, MOST_FIELDS)?.iter().filter(|field| field.tag == INPUTS) {
        // All inputs together.
        let fields = walk(&input.value, &mut count, MOST_FIELDS)?;
        if fields.iter().any(|field| field.tag == SHAPE && field.value.len() > LONGEST_SHAPE) {
            return Err(invalid("the shape of an input has more sizes than a tensor may have"));
        }
        for contents in fields.iter().filter(|field| field.tag == CONTENTS) {
            let mut elements = 0;
            walk(&contents.value, &mut elements, MOST_ELEMENTS)?;
        }
    }
    Ok(())
}

/// A field with its bytes; numbers have none.
struct Field {
    tag: u32,
    value: Bytes,
}

/// The fields of a message, which count together with those that were counted before.
fn walk(message: &Bytes, count: &mut usize, most: usize) -> Result<Vec<Field>, ApiError> {
    let mut rest = message.clone();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        *count += 1;
        if *count > most {
            return Err(invalid(&format!("the message has more than {most} inputs, outputs, parameters or elements")));
        }
        fields.push(field(&mut rest).ok_or_else(|| invalid("the message does not decode: a field breaks off"))?);
    }
    Ok(fields)
}

/// The next field of a message ("Message Structure" of protobuf's encoding); groups are out of use.
fn field(rest: &mut Bytes) -> Option<Field> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => varint(rest).map(|_| Bytes::new()),
        1 => take(rest, 8).map(|_| Bytes::new()),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            take(rest, length)
        }
        5 => take(rest, 4).map(|_| Bytes::new()),
        _ => None,
    };
    Some(Field { tag: u32::try_from(key >> 3).ok()?, value: value? })
}

/// Seven bits a byte, the lowest first; the highest bit says that there are more.
fn varint(rest: &mut Bytes) -> Option<u64> {
    let length = rest.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let bytes = take(rest, length)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}

fn take(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn invalid(detail: &str) -> ApiError {
    ApiError::new(Code::InvalidBody, detail)
}
