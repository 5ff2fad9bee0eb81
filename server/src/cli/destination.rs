//! A file that the user names to be written.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use models::files::AtomicFile;

use super::interrupt::Interrupt;

/// Bytes that are written between two looks at Ctrl-C.
const CHUNK: usize = 1 << 20;
/// How many links may lead from one to the next, as on Linux.
const LINKS: usize = 40;

/// Writes a file that is whole or not there, also after Ctrl-C. A link stays a link: what it leads to is written. A device or a
/// pipe takes the bytes and stays what it is.
///
/// # Errors
/// The operating system's; for a folder; when the user interrupts it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    stream(path, &mut |to| to.write_all(bytes))
}

/// What writes the bytes of a file.
pub(super) type WriteBytes<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// The same for bytes that are made while they are written.
///
/// # Errors
/// As [`write()`].
pub(super) fn stream(path: &Path, write: &mut WriteBytes<'_>) -> Result<()> {
    let path = follow(path)?;
    match fs::symlink_metadata(&path) {
        Ok(file) if file.is_dir() => bail!("it is a folder; name a file in it"),
        Ok(file) if !file.is_file() => {
            let mut device = BufWriter::with_capacity(CHUNK, File::options().write(true).open(&path)?);
            write(&mut device)?;
            Ok(device.flush()?)
        }
        Ok(_) => replace(&path, write),
        Err(error) if error.kind() == ErrorKind::NotFound => replace(&path, write),
        Err(error) => Err(error.into()),
    }
}

/// Under a temporary name first, which goes away when the user interrupts it.
fn replace(path: &Path, write: &mut WriteBytes<'_>) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut file = interrupt.create(path)?;
    let mut buffer = BufWriter::with_capacity(CHUNK, Interruptible { file: &mut file, interrupt: &interrupt });
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    Ok(file.commit()?)
}

/// Takes no more bytes once the user has interrupted.
struct Interruptible<'a> {
    file: &'a mut AtomicFile,
    interrupt: &'a Interrupt,
}

impl Write for Interruptible<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.interrupt.is_wanted() {
            return Err(io::Error::other("interrupted; nothing was written"));
        }
        self.file.write(&bytes[..bytes.len().min(CHUNK)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The end of a chain of links, which need not be there.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // It is no link, or not there.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    #[test]
    fn links_stay_and_their_files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let below = |name: &str| folder.path().join(name);
        fs::create_dir(below("there")).unwrap();
        fs::write(below("there/old.onnx"), "old").unwrap();
        symlink("there/old.onnx", below("link")).unwrap();
        symlink("there/new.onnx", below("dangling")).unwrap();
        symlink(below("link"), below("chain")).unwrap();
        write(&below("chain"), b"one").unwrap();
        write(&below("dangling"), b"two").unwrap();
        assert_eq!(fs::read(below("there/old.onnx")).unwrap(), b"one");
        assert_eq!(fs::read(below("there/new.onnx")).unwrap(), b"two");
        for link in ["link", "dangling", "chain"] {
            assert!(fs::symlink_metadata(below(link)).unwrap().is_symlink(), "{link}");
        }
        symlink("b", below("a")).unwrap();
        symlink("a", below("b")).unwrap();
        assert_eq!(write(&below("a"), b"").unwrap_err().to_string(), "its links lead in a circle");
    }

    #[test]
    fn devices_and_pipes_take_the_bytes_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(write(folder.path(), b"").unwrap_err().to_string(), "it is a folder; name a file in it");
    }
}
