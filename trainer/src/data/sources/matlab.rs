//! Arrays of numbers in MATLAB's version 5 files.
//!
//! After MATLAB's own "MAT-File Format": a header of 128 bytes, then elements of a type, a size and data padded to
//! eight bytes; arrays are elements of elements, and may be compressed with zlib one by one.

use std::io::Read;

use flate2::read::ZlibDecoder;
use thiserror::Error;

/// A named array of real numbers, column after column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

/// A MATLAB file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum MatlabError {
    #[error("it is not a MATLAB version 5 file; save it in MATLAB with `-v7`, or in Python with scipy.io.savemat")]
    Version,
    #[error("it is damaged or truncated; download it again")]
    Damaged,
}

const HEADER: usize = 128;
/// What a compressed array may unpack to, in bytes: far more than lists of image numbers take.
const LARGEST: u64 = 64 << 20;

const UTF8: u32 = 16;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// The numeric arrays of a file; others, such as texts and structures, are passed over.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Array>, MatlabError> {
    // The version, 0x0100, then the letters that show the order of bytes.
    let little = bytes.get(124..HEADER) == Some(&[0, 1, b'I', b'M']);
    if !little {
        return Err(MatlabError::Version);
    }
    let mut rest = &bytes[HEADER..];
    let mut arrays = Vec::new();
    while !rest.is_empty() {
        let (kind, data) = element(&mut rest)?;
        match kind {
            MATRIX => arrays.extend(array(data)?),
            COMPRESSED => {
                let mut unpacked = Vec::new();
                let read = ZlibDecoder::new(data).take(LARGEST).read_to_end(&mut unpacked);
                read.map_err(|_| MatlabError::Damaged)?;
                if let (MATRIX, data) = element(&mut &unpacked[..])? {
                    arrays.extend(array(data)?);
                }
            }
            _ => {}
        }
    }
    Ok(arrays)
}

/// Takes an element off: its type and its data. Up to four bytes of data share the first word with a short size.
fn element<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), MatlabError> {
    let (word, after) = rest.split_first_chunk::<4>().ok_or(MatlabError::Damaged)?;
    let word = u32::from_le_bytes(*word);
    let (kind, size, data, padded) = match word >> 16 {
        0 => {
            let (size, data) = after.split_first_chunk::<4>().ok_or(MatlabError::Damaged)?;
            let size = u32::from_le_bytes(*size) as usize;
            let padded = if word == COMPRESSED { size } else { size.next_multiple_of(8) };
            (word, size, data, padded)
        }
        size => (word & 0xffff, size as usize, after, 4),
    };
    let content = data.get(..size).ok_or(MatlabError::Damaged)?;
    *rest = data.get(padded..).unwrap_or_default();
    Ok((kind, content))
}

/// Flags, dimensions, name, numbers. `None` for anything but real numbers.
fn array(mut data: &[u8]) -> Result<Option<Array>, MatlabError> {
    let (_, flags) = element(&mut data)?;
    let [class, flags, ..] = flags else { return Err(MatlabError::Damaged) };
    // Classes 6 to 15 are the numeric ones; 0x08 marks complex numbers.
    if !(6..=15).contains(class) || flags & 0x08 != 0 {
        return Ok(None);
    }
    let _dimensions = element(&mut data)?;
    let (_, name) = element(&mut data)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let (kind, numbers) = element(&mut data)?;
    Ok(values(kind, numbers).map(|values| Array { name, values }))
}

/// Numbers are stored in the smallest type that holds them.
fn values(kind: u32, data: &[u8]) -> Option<Vec<f64>> {
    Some(match kind {
        1 => data.iter().map(|&byte| f64::from(byte.cast_signed())).collect(),
        2 | UTF8 => data.iter().map(|&byte| f64::from(byte)).collect(),
        3 => data.as_chunks().0.iter().map(|bytes| f64::from(i16::from_le_bytes(*bytes))).collect(),
        4 => data.as_chunks().0.iter().map(|bytes| f64::from(u16::from_le_bytes(*bytes))).collect(),
        5 => data.as_chunks().0.iter().map(|bytes| f64::from(i32::from_le_bytes(*bytes))).collect(),
        6 => data.as_chunks().0.iter().map(|bytes| f64::from(u32::from_le_bytes(*bytes))).collect(),
        7 => data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
        9 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        12 => data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
        13 => data.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as f64).collect(),
        _ => return None,
    })
}
