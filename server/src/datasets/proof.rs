//! How a file is known to be the one that was published.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 18;

/// How a file is known to be the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<'a> {
    /// By its SHA-256, in lower-case hexadecimal.
    Sha256(&'a str),
    /// By its first bytes, where nobody has published more: whoever reads it has to check what is in it.
    Begins(&'a [u8]),
}

impl Proof<'_> {
    /// What shows that a file, read from where it stands, is another one.
    pub(super) fn difference(self, file: &mut File) -> io::Result<Option<String>> {
        match self {
            Proof::Sha256(expected) => {
                let mut hash = Sha256::new();
                let mut chunk = vec![0; CHUNK];
                loop {
                    match file.read(&mut chunk)? {
                        0 => break,
                        count => hash.update(&chunk[..count]),
                    }
                }
                let digest = hex::encode(hash.finalize());
                Ok((digest != expected).then(|| format!("its SHA-256 is {digest}, expected {expected}")))
            }
            Proof::Begins(expected) => {
                let mut head = Vec::new();
                file.take(expected.len() as u64).read_to_end(&mut head)?;
                let expected_text = String::from_utf8_lossy(expected);
                Ok((head != expected).then(|| format!("it does not begin with `{expected_text}`")))
            }
        }
    }
}
