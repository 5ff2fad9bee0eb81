//! What `torch.save` wrote before PyTorch 1.6, and writes still when asked to.
//!
//! Five pickles one after another: a magic number, the format's version, the writer's byte order, the object that was
//! saved, and the keys of its storages. The storages follow in that order, each behind the number of its elements.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::storage::ElementType;
use super::{PyTorchError, state_dict, tensors};
use crate::budget::Budget;
use crate::params::Params;
use crate::pickle::{ByteReader, Heap, Value, load};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The only version of the format there has been.
const VERSION: i64 = 1001;

/// Reads the state dict of a file in the older format.
///
/// # Errors
/// [`PyTorchError`] for a damaged file, another program's pickle, or something else than a state dict.
pub(in crate::weights) fn read_legacy(bytes: &[u8]) -> Result<Params, PyTorchError> {
    let mut budget = Budget::new(bytes.len());
    let mut reader = ByteReader::new(bytes);
    let mut heap = Heap::default();
    if load(&mut reader, &mut heap, &mut budget)? != Value::Long(&MAGIC) {
        return Err(PyTorchError::ForeignPickle);
    }
    let mut values = [Value::None; 4];
    for value in &mut values {
        *value = load(&mut reader, &mut heap, &mut budget)?;
    }
    let [version, system, root, keys] = values;
    if version != Value::Int(VERSION) {
        return Err(PyTorchError::ForeignPickle);
    }
    if heap.pairs(system).unwrap_or_default().contains(&(Value::Text("little_endian"), Value::Bool(false))) {
        return Err(PyTorchError::ByteOrder);
    }
    let storages = storages(&mut reader, &heap, keys)?;
    let weights = tensors::weights(state_dict::find(&heap, root)?)?;
    tensors::read(&weights, &storages, &mut budget)
}

/// The bytes of every storage.
fn storages<'a>(
    reader: &mut ByteReader<'a>,
    heap: &Heap<'a>,
    keys: Value<'a>,
) -> Result<BTreeMap<&'a str, Cow<'a, [u8]>>, PyTorchError> {
    let mut storages = BTreeMap::new();
    for key in heap.items(keys).ok_or(PyTorchError::Storages)? {
        let Value::Text(key) = *key else { return Err(PyTorchError::Storages) };
        let numbers = heap.storages.get(key).and_then(|class| ElementType::of(class)).ok_or(PyTorchError::Storages)?;
        let count = u64::from_le_bytes(reader.array()?);
        storages.insert(key, Cow::Borrowed(reader.take(count.saturating_mul(numbers.size() as u64))?));
    }
    Ok(storages)
}
