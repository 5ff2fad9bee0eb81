//! The Python version: a pickled dictionary of a NumPy array and a list.

use models::pickle::{Pickle, Value};

use super::super::bmp::CIFAR_BYTES;
use super::Batch;

/// The only call of a batch that is not one of an array.
const DTYPE: &str = "numpy.dtype";

pub(super) fn read(bytes: Vec<u8>) -> Result<Batch, String> {
    let pickle = open(&bytes)?;
    let data = pickle.get("data").and_then(|data| pickle.range(data));
    let data = data.ok_or("it has no array `data`; fetch the published archive")?;
    let labels = pickle.get("labels").and_then(|labels| pickle.items(labels));
    let labels = labels.ok_or("it has no list `labels`; fetch the published archive")?;
    let class = |label: &Value<'_>| if let Value::Int(class) = label { u8::try_from(*class).ok() } else { None };
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
    let pickle = open(bytes)?;
    let names = pickle.get("label_names").and_then(|names| pickle.items(names));
    let names = names.ok_or("it has no list `label_names`; fetch the published archive")?;
    let text = |name: &Value<'_>| match name {
        Value::Text(name) => Ok((*name).to_owned()),
        Value::Bytes(name) => Ok(String::from_utf8_lossy(name).into_owned()),
        _ => Err("`label_names` holds something else than names".to_owned()),
    };
    names.iter().map(text).collect()
}

fn open(bytes: &[u8]) -> Result<Pickle<'_>, String> {
    let pickle = Pickle::read(bytes).map_err(|error| format!("{error}; fetch the published archive"))?;
    let foreign = pickle.opaque_calls().find(|name| name != DTYPE);
    match foreign {
        Some(name) => {
            Err(format!("the pickle names `{name}`, which no batch of CIFAR-10 does; fetch the published archive"))
        }
        None => Ok(pickle),
    }
}

#[cfg(test)]
mod tests;
