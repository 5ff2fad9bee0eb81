//! Looking at a shared library before the loader does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How many bytes an ELF file must have for all its segments, or `None` when it is not a 64-bit little-endian ELF.
///
/// The loader maps a truncated library without complaint, and the process dies with a bus error on the first page that
/// is not there. Nothing can catch that, so it must be seen beforehand.
pub fn needed_length(path: &Path) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut header = [0; 64];
    if file.read_exact(&mut header).is_err() || header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let table = word(&header, 32);
    let (size, count) = (half(&header, 54), half(&header, 56));
    let mut needed = table + size * count;
    for index in 0..count {
        file.seek(SeekFrom::Start(table + index * size))?;
        let mut segment = [0; 56];
        if file.read_exact(&mut segment).is_err() {
            return Ok(Some(needed));
        }
        needed = needed.max(word(&segment, 8).saturating_add(word(&segment, 32)));
    }
    Ok(Some(needed))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn half(bytes: &[u8], at: usize) -> u64 {
    u64::from(bytes[at]) | u64::from(bytes[at + 1]) << 8
}
