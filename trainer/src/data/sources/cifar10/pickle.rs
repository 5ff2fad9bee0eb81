//! The Python version: a pickled dictionary of a NumPy array and a list.
//!
//! A pickle is a program for a small stack machine that may call any function. This machine builds values and calls
//! nothing: of all globals it knows only those by which NumPy makes an array, and refuses every other. The reader of
//! weights in `models` is made for PyTorch's persistent storages and knows no arrays, so it is no help here.

use std::ops::Range;

use super::super::bmp::CIFAR_BYTES;
use super::Batch;

/// What a pickle builds. Bytes stay where they are in the file.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Mark,
    None,
    Int(i64),
    Bytes(Range<usize>),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// `numpy.core.multiarray._reconstruct`, `numpy.ndarray` or `numpy.dtype`.
    Global,
    /// What one of these made, and, once it is filled, the array's bytes.
    Made(Option<Range<usize>>),
}

/// Steps of the largest batch are 40,000; more is no batch.
const STEPS: usize = 4_000_000;

pub(super) fn read(bytes: Vec<u8>) -> Result<Batch, String> {
    let dict = load(&bytes)?;
    let data = match find(&dict, &bytes, "data") {
        Some(Value::Made(Some(range)) | Value::Bytes(range)) => range.clone(),
        _ => return Err("it has no array `data`; fetch the published archive".to_owned()),
    };
    let Some(Value::List(labels)) = find(&dict, &bytes, "labels") else {
        return Err("it has no list `labels`; fetch the published archive".to_owned());
    };
    let class = |label: &Value| if let Value::Int(class) = label { u8::try_from(*class).ok() } else { None };
    let classes: Option<Vec<u8>> = labels.iter().map(class).collect();
    let classes = classes.ok_or("`labels` holds something else than classes")?;
    if data.len() != classes.len() * CIFAR_BYTES {
        return Err(format!("`data` has {} bytes for {} images of {CIFAR_BYTES}", data.len(), classes.len()));
    }
    let offsets = data.step_by(CIFAR_BYTES);
    Ok(Batch { records: offsets.zip(classes).collect(), bytes: bytes.into() })
}

/// `label_names` of `batches.meta`.
pub(super) fn names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let dict = load(bytes)?;
    let Some(Value::List(names)) = find(&dict, bytes, "label_names") else {
        return Err("it has no list `label_names`; fetch the published archive".to_owned());
    };
    let text = |name: &Value| match name {
        Value::Bytes(range) => Some(String::from_utf8_lossy(&bytes[range.clone()]).into_owned()),
        _ => None,
    };
    names
        .iter()
        .map(|name| text(name).ok_or_else(|| "`label_names` holds something else than names".to_owned()))
        .collect()
}

fn find<'v>(dict: &'v Value, bytes: &[u8], key: &str) -> Option<&'v Value> {
    let Value::Dict(pairs) = dict else { return None };
    let is = |name: &Value| matches!(name, Value::Bytes(range) if bytes[range.clone()] == *key.as_bytes());
    pairs.iter().find(|(name, _)| is(name)).map(|(_, value)| value)
}

fn load(bytes: &[u8]) -> Result<Value, String> {
    let mut machine = Machine { bytes, at: 0, stack: vec![], memo: vec![] };
    for _ in 0..STEPS {
        let at = machine.at;
        match machine.step() {
            Some(Step::Go) => {}
            Some(Step::Stop(value)) => return Ok(value),
            Some(Step::Refuse(what)) => {
                return Err(format!("byte {at} of the pickle {what}; fetch the published archive"));
            }
            None => return Err(format!("the pickle is damaged at byte {at}; fetch it again")),
        }
    }
    Err("the pickle is far longer than one of CIFAR-10".to_owned())
}

enum Step {
    Go,
    Stop(Value),
    Refuse(String),
}

struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    stack: Vec<Value>,
    /// Lists, dictionaries and arrays are remembered as `None`: they change after they are noted, and no batch asks for
    /// one twice.
    memo: Vec<Option<Value>>,
}

impl Machine<'_> {
    /// One instruction; `None` where it does not find what it needs.
    fn step(&mut self) -> Option<Step> {
        let opcode = self.number(1)?;
        let made = match opcode as u8 {
            b'.' => return Some(Step::Stop(self.stack.pop()?)),
            // PROTO, FRAME: nothing to do.
            0x80 => return self.number(1).map(|_| Step::Go),
            0x95 => return self.number(8).map(|_| Step::Go),
            b'(' => Value::Mark,
            b'N' => Value::None,
            0x88 => Value::Int(1),
            0x89 => Value::Int(0),
            b'K' => Value::Int(self.number(1)?.cast_signed()),
            b'M' => Value::Int(self.number(2)?.cast_signed()),
            b'J' => Value::Int((self.number(4)? as u32).cast_signed().into()),
            // Short strings, bytes and texts with a length of one byte; then of four; then of eight.
            b'U' | b'C' | 0x8c => self.counted(1)?,
            b'T' | b'B' | b'X' => self.counted(4)?,
            0x8d | 0x8e => self.counted(8)?,
            b'}' => Value::Dict(vec![]),
            b']' => Value::List(vec![]),
            b')' => Value::Tuple(vec![]),
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub((opcode - 0x84) as usize)?;
                Value::Tuple(self.stack.split_off(from))
            }
            b't' => Value::Tuple(self.marked()?),
            b'c' => {
                let name =
                    [self.line()?, self.line()?].map(|range| String::from_utf8_lossy(&self.bytes[range]).into_owned());
                match global(&name[0], &name[1]) {
                    Ok(value) => value,
                    Err(refused) => return Some(refused),
                }
            }
            0x93 => {
                let (Value::Bytes(name), Value::Bytes(module)) = (self.stack.pop()?, self.stack.pop()?) else {
                    return None;
                };
                let name = [module, name].map(|range| String::from_utf8_lossy(&self.bytes[range]).into_owned());
                match global(&name[0], &name[1]) {
                    Ok(value) => value,
                    Err(refused) => return Some(refused),
                }
            }
            b'R' => {
                let (Value::Tuple(_), Value::Global) = (self.stack.pop()?, self.stack.pop()?) else { return None };
                Value::Made(None)
            }
            b'b' => {
                let state = self.stack.pop()?;
                let Value::Made(_) = self.stack.pop()? else { return None };
                Value::Made(array_bytes(&state))
            }
            b'q' => return self.number(1).and_then(|place| self.note(place)),
            b'r' => return self.number(4).and_then(|place| self.note(place)),
            0x94 => return self.note(self.memo.len() as u64),
            b'h' => self.number(1).and_then(|place| self.noted(place))?,
            b'j' => self.number(4).and_then(|place| self.noted(place))?,
            b'a' => {
                let value = self.stack.pop()?;
                return self.append(vec![value]);
            }
            b'e' => {
                let values = self.marked()?;
                return self.append(values);
            }
            b's' => {
                let from = self.stack.len().checked_sub(2)?;
                let pair = self.stack.split_off(from);
                return self.set(pair);
            }
            b'u' => {
                let pairs = self.marked()?;
                return self.set(pairs);
            }
            other => {
                return Some(Step::Refuse(format!("is the instruction {other:#04x}, which no batch of CIFAR-10 has")));
            }
        };
        self.stack.push(made);
        Some(Step::Go)
    }

    /// A little-endian number of so many bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let slice = self.bytes.get(self.at..self.at.checked_add(bytes)?)?;
        self.at += bytes;
        Some(slice.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn counted(&mut self, bytes: usize) -> Option<Value> {
        let length = usize::try_from(self.number(bytes)?).ok()?;
        let range = self.at..self.at.checked_add(length)?;
        self.bytes.get(range.clone())?;
        self.at = range.end;
        Some(Value::Bytes(range))
    }

    fn line(&mut self) -> Option<Range<usize>> {
        let length = self.bytes.get(self.at..)?.iter().position(|&byte| byte == b'\n')?;
        let range = self.at..self.at + length;
        self.at = range.end + 1;
        Some(range)
    }

    /// Everything above the last mark, which is taken away too.
    fn marked(&mut self) -> Option<Vec<Value>> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark)?;
        let values = self.stack.split_off(mark + 1);
        self.stack.pop();
        Some(values)
    }

    fn append(&mut self, values: Vec<Value>) -> Option<Step> {
        let Value::List(list) = self.stack.last_mut()? else { return None };
        list.extend(values);
        Some(Step::Go)
    }

    fn set(&mut self, values: Vec<Value>) -> Option<Step> {
        let Value::Dict(dict) = self.stack.last_mut()? else { return None };
        let mut values = values.into_iter();
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            dict.push((key, value));
        }
        Some(Step::Go)
    }

    fn note(&mut self, place: u64) -> Option<Step> {
        let place = usize::try_from(place).ok().filter(|place| *place <= STEPS)?;
        let value = match self.stack.last()? {
            Value::List(_) | Value::Dict(_) | Value::Made(_) | Value::Mark => None,
            // A pickle notes its constants once each; deep tuples would be copied again and again.
            Value::Tuple(values) if values.len() > 8 || values.iter().any(|value| matches!(value, Value::Tuple(_))) => {
                None
            }
            value => Some(value.clone()),
        };
        if self.memo.len() <= place {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = value;
        Some(Step::Go)
    }

    fn noted(&self, place: u64) -> Option<Value> {
        self.memo.get(usize::try_from(place).ok()?)?.clone()
    }
}

/// NumPy's own, under the module names of its first and second versions.
fn global(module: &str, name: &str) -> Result<Value, Step> {
    match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") | ("numpy", "ndarray" | "dtype") => {
            Ok(Value::Global)
        }
        _ => Err(Step::Refuse(format!("names `{module}.{name}`, which no batch of CIFAR-10 does"))),
    }
}

/// The bytes in an array's state: version, shape, type, order, bytes. Rows after rows, or none.
fn array_bytes(state: &Value) -> Option<Range<usize>> {
    match state {
        Value::Tuple(parts) => match &parts[..] {
            [Value::Int(1), Value::Tuple(_), Value::Made(_), Value::Int(0), Value::Bytes(range)] => Some(range.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
