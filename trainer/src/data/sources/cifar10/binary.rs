//! The binary version: records of a class and 3072 bytes.

use super::super::bmp::CIFAR_BYTES;
use super::Batch;

const RECORD: usize = 1 + CIFAR_BYTES;

pub(super) fn read(bytes: Vec<u8>) -> Result<Batch, String> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        return Err(format!("it has {} bytes, which is no multiple of {RECORD}; fetch it again", bytes.len()));
    }
    let records = (0..bytes.len() / RECORD).map(|record| (record * RECORD + 1, bytes[record * RECORD])).collect();
    Ok(Batch { bytes: bytes.into(), records })
}
