//! Finding the state dict in what a pickle made.

use std::collections::BTreeMap;

use super::PyTorchError;
use crate::pickle::StridedView;
use crate::pickle::{Heap, Object, Value};

/// How deep a state dict may be in such dictionaries.
const MAX_DEPTH: usize = 4;

/// How many dictionaries of one dictionary are looked into. A file can name a large one again and again for a few bytes.
const MAX_DICTIONARIES: usize = 16;

/// The tensors by name. Numbers, text and nothing at all may stand beside them; anything else that is no tensor is an
/// error.
pub(super) fn find<'h, 'a>(
    heap: &'h Heap<'a>,
    root: Value<'a>,
) -> Result<BTreeMap<&'a str, &'h StridedView<'a>>, PyTorchError> {
    let dict = unwrap(heap, root)?;
    let mut tensors = BTreeMap::new();
    for &(key, value) in heap.pairs(dict).unwrap_or_default() {
        let Value::Text(name) = key else {
            return Err(PyTorchError::NotStateDict { found: "a dictionary whose keys are not all text".to_owned() });
        };
        match (heap.object(value), value) {
            (Some(Object::Tensor(view)), _) => drop(tensors.insert(name, &**view)),
            (None, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_)) => {}
            _ => return Err(PyTorchError::NotTensor { name: name.to_owned(), found: describe(heap, value) }),
        }
    }
    Ok(tensors)
}

/// Goes down through the dictionaries of a checkpoint, under whatever keys they are.
fn unwrap<'a>(heap: &Heap<'a>, root: Value<'a>) -> Result<Value<'a>, PyTorchError> {
    let mut dict = root;
    for _ in 0..=MAX_DEPTH {
        match inner(heap, dict)[..] {
            [] if holds_tensors(heap, dict) => return Ok(dict),
            [] => return Err(PyTorchError::NotStateDict { found: without_tensors(heap, dict) }),
            [(_, value)] => dict = value,
            // Such as the weights and their moving average.
            [(first, _), (second, _), ..] => {
                let (first, second) = (first.to_owned(), second.to_owned());
                return Err(PyTorchError::SeveralStateDicts { first, second });
            }
        }
    }
    Err(PyTorchError::NotStateDict { found: "dictionaries inside each other without an end".to_owned() })
}

/// Where to go on: to dictionaries of tensors if there are any, else to those that hold one. A checkpoint's `model` may as
/// well be its configuration.
fn inner<'a>(heap: &Heap<'a>, dict: Value<'a>) -> Vec<(&'a str, Value<'a>)> {
    let dicts = dictionaries(heap, dict);
    let holding: Vec<_> = dicts.iter().copied().filter(|(_, value)| holds_tensors(heap, *value)).collect();
    if !holding.is_empty() {
        return holding;
    }
    let leads_on = |value| dictionaries(heap, value).iter().any(|(_, value)| holds_tensors(heap, *value));
    dicts.into_iter().filter(|(_, value)| leads_on(*value)).collect()
}

/// The dictionaries in a dictionary, by their keys.
fn dictionaries<'a>(heap: &Heap<'a>, dict: Value<'a>) -> Vec<(&'a str, Value<'a>)> {
    let pairs = heap.pairs(dict).unwrap_or_default().iter();
    let tensors = pairs.filter_map(|&(key, value)| match key {
        Value::Text(key) => heap.pairs(value).map(|_| (key, value)),
        _ => None,
    });
    tensors.take(MAX_DICTIONARIES).collect()
}

fn holds_tensors<'a>(heap: &Heap<'a>, dict: Value<'a>) -> bool {
    heap.pairs(dict).unwrap_or_default().iter().any(|(_, value)| matches!(heap.object(*value), Some(Object::Tensor(_))))
}

/// What to call something in which there is no state dict: a whole network under one of the keys is the likeliest.
fn without_tensors<'a>(heap: &Heap<'a>, value: Value<'a>) -> String {
    let Some(pairs) = heap.pairs(value) else { return describe(heap, value) };
    let text = |key| if let Value::Text(key) = key { Some(key) } else { None };
    let whole = pairs.iter().find(|(_, value)| matches!(heap.object(*value), Some(Object::Opaque(_))));
    if let Some((key, value)) = whole.and_then(|(key, value)| Some((text(*key)?, value))) {
        return format!("{} under `{key}`", describe(heap, *value));
    }
    let keys: Vec<String> =
        pairs.iter().filter_map(|(key, _)| text(*key)).take(8).map(|key| format!("`{key}`")).collect();
    match keys.is_empty() {
        true => describe(heap, value),
        false => format!("a dictionary of {} without tensors", keys.join(", ")),
    }
}

/// What to call a value that is not what it should be.
fn describe<'a>(heap: &Heap<'a>, value: Value<'a>) -> String {
    match (heap.object(value), value) {
        (Some(Object::Opaque(path)), _) => format!("a whole object, made by `{path}`"),
        (Some(Object::Global(path)), _) => format!("the class or function `{path}`"),
        (Some(Object::Tensor(_)), _) => "a single tensor".to_owned(),
        (Some(Object::Storage(_)), _) => "a storage".to_owned(),
        (Some(Object::Array(_)), _) => "a NumPy array".to_owned(),
        (Some(Object::Tuple(_) | Object::List(_)), _) => "a list".to_owned(),
        (Some(Object::Dict(_)), _) => "a dictionary without tensors".to_owned(),
        (None, Value::Bytes(_)) => "bytes".to_owned(),
        (None, Value::Text(_)) => "text".to_owned(),
        (None, Value::None) => "nothing (None)".to_owned(),
        (None, _) => "a number".to_owned(),
    }
}
