//! Bytes in sequence.

use super::PickleError;

/// A position in a file.
#[derive(Debug, Clone)]
pub(crate) struct ByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ByteReader<'a> {
    /// From the beginning.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let bytes = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let bytes = bytes.ok_or(PickleError::Truncated { at: self.bytes.len() })?;
        self.at += bytes.len();
        Ok(bytes)
    }

    /// The next bytes, as many as the array has.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.array::<1>()?[0])
    }

    /// Bytes behind their own length, which is one byte long.
    pub(super) fn counted_by_1(&mut self) -> Result<&'a [u8], PickleError> {
        let count = self.byte()?;
        self.take(count.into())
    }

    /// Bytes behind their own length, which is four bytes long.
    pub(super) fn counted_by_4(&mut self) -> Result<&'a [u8], PickleError> {
        let count = u32::from_le_bytes(self.array()?);
        self.take(count.into())
    }

    /// Bytes behind their own length, which is eight bytes long.
    pub(super) fn counted_by_8(&mut self) -> Result<&'a [u8], PickleError> {
        let count = u64::from_le_bytes(self.array()?);
        self.take(count)
    }

    /// Text up to the end of the line.
    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(PickleError::Truncated { at: self.at })?;
        let line = std::str::from_utf8(&rest[..length]).map_err(|_| PickleError::Operands { at: self.at })?;
        self.at += length + 1;
        Ok(line)
    }
}
