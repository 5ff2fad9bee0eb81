//! Pictures whose lines come one after another, so that nobody has to hold them whole.

/// A size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Takes the lines of a picture, from the top.
pub(super) trait LineSink {
    /// Room for the next line, as RGB of 8 bits. The one before is complete.
    fn line(&mut self) -> &mut [u8];
}

/// All of a picture.
pub(super) struct WholeLines {
    pixels: Vec<u8>,
    line: usize,
    /// Bytes that have been handed out.
    filled: usize,
}

impl WholeLines {
    pub(super) fn new(Size { width, height }: Size) -> Self {
        let line = 3 * width as usize;
        Self { pixels: vec![0; line * height as usize], line, filled: 0 }
    }

    pub(super) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

impl LineSink for WholeLines {
    fn line(&mut self) -> &mut [u8] {
        self.filled += self.line;
        &mut self.pixels[self.filled - self.line..self.filled]
    }
}
