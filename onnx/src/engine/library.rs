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

/// Whether an ELF file has a symbol of this name, its own or one that it takes from another library. Other files have none.
pub fn names_symbol(path: &Path, symbol: &str) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut header = [0; 64];
    if file.read_exact(&mut header).is_err() || header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(false);
    }
    let (table, size, count) = (word(&header, 40), half(&header, 58), half(&header, 60));
    let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
    for index in 0..count {
        let mut section = [0; 64];
        file.seek(SeekFrom::Start(table + index * size))?;
        // The loader does without this table, so a file may be cut off in it.
        if file.read_exact(&mut section).is_err() {
            return Ok(false);
        }
        // A table of names (type 3) that is loaded with the program (flag 2).
        if section[4..8] != [3, 0, 0, 0] || word(&section, 8) & 2 == 0 {
            continue;
        }
        file.seek(SeekFrom::Start(word(&section, 24)))?;
        let mut names = Vec::new();
        Read::by_ref(&mut file).take(word(&section, 32)).read_to_end(&mut names)?;
        if names.windows(name.len()).any(|found| found == name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn half(bytes: &[u8], at: usize) -> u64 {
    u64::from(bytes[at]) | u64::from(bytes[at + 1]) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn symbols_are_found_by_their_whole_names() {
        // The test is a program, and takes `malloc` from the C library.
        let program = std::env::current_exe().unwrap();
        assert!(names_symbol(&program, "malloc").unwrap());
        assert!(!names_symbol(&program, "mallo").unwrap());
        assert!(!names_symbol(&program, "Provider_GetHost").unwrap());
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "malloc").unwrap();
        assert!(!names_symbol(text.path(), "malloc").unwrap());
    }
}
