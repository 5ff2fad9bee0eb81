//! The bytes of a file, and whether a decoder asked for more than there are.
//!
//! Decoders have words of their own for a file that ends early, or none: libjpeg is given an end marker then, and goes
//! on with gray.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// Reads from memory.
pub(super) struct Source<'a> {
    rest: &'a [u8],
    exhausted: Exhausted,
}

/// Whether the file ended before its reader did.
#[derive(Clone, Default)]
pub(super) struct Exhausted(Rc<Cell<bool>>);

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> (Self, Exhausted) {
        let exhausted = Exhausted::default();
        (Self { rest: bytes, exhausted: exhausted.clone() }, exhausted)
    }
}

impl Exhausted {
    pub(super) fn get(&self) -> bool {
        self.0.get()
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            self.exhausted.0.set(true);
        }
        Ok(self.rest)
    }

    fn consume(&mut self, count: usize) {
        self.rest.consume(count);
    }
}
