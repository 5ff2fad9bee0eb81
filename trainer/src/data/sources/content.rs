//! Where the bytes of one image are.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use flate2::read::DeflateDecoder;

use super::bmp;
use crate::data::files::{DataFile, too_large};

/// Bytes that are read when they are wanted, from any number of threads at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) enum Content {
    /// A file of its own.
    File(DataFile),
    /// A stretch of a file: a member of an archive that is not compressed.
    Range { file: DataFile, offset: u64, length: u64 },
    /// A deflated member of a zip archive, with the CRC-32 of what comes out.
    Deflated { file: DataFile, offset: u64, packed: u64, length: u64, crc: u32 },
    /// 3072 bytes of CIFAR's: 32x32 pixels, channels first.
    Record { batch: Arc<[u8]>, offset: usize },
}

impl Content {
    /// The bytes of a file, at most so many. CIFAR's pixels come as a BMP, so that the shared decoder reads them too.
    pub(in crate::data) fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        match self {
            Content::File(file) => file.read(limit),
            Content::Range { length, .. } | Content::Deflated { length, .. } if *length > limit => {
                Err(too_large(limit))
            }
            Content::Deflated { packed, .. } if *packed > limit => Err(too_large(limit)),
            Content::Range { file, offset, length } => range(file, *offset, *length),
            Content::Deflated { file, offset, packed, length, crc } => {
                let bytes = inflate(&range(file, *offset, *packed)?, *length)?;
                if crc32fast::hash(&bytes) != *crc {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"));
                }
                Ok(bytes)
            }
            Content::Record { batch, offset } => {
                let pixels = batch.get(*offset..).and_then(|rest| rest.first_chunk::<{ bmp::CIFAR_BYTES }>());
                Ok(bmp::of_cifar(pixels.ok_or(io::ErrorKind::UnexpectedEof)?))
            }
        }
    }
}

impl Content {
    /// The first bytes of a file, fewer than asked for where it has fewer.
    pub(super) fn head<const N: usize>(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(N);
        match self {
            Content::File(file) => file.open()?.take(N as u64).read_to_end(&mut head)?,
            Content::Range { file, offset, length } => {
                let mut file = file.open()?;
                file.seek(SeekFrom::Start(*offset))?;
                file.take((*length).min(N as u64)).read_to_end(&mut head)?
            }
            Content::Deflated { file, offset, packed, .. } => {
                let mut file = file.open()?;
                file.seek(SeekFrom::Start(*offset))?;
                DeflateDecoder::new(file.take(*packed)).take(N as u64).read_to_end(&mut head)?
            }
            Content::Record { .. } => head.write(b"BM")?,
        };
        Ok(head)
    }
}

fn range(file: &DataFile, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut file = file.open()?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in the middle of it"));
    }
    Ok(bytes)
}

/// Inflates to exactly so many bytes; a member that holds more is not read any further.
fn inflate(packed: &[u8], length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let inflated = DeflateDecoder::new(packed).take(length.saturating_add(1)).read_to_end(&mut bytes);
    inflated.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its compressed bytes are damaged"))?;
    if bytes.len() as u64 != length {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its size is not what the archive says"));
    }
    Ok(bytes)
}
