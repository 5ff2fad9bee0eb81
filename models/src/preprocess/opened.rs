//! Files whose lines a decoder hands out one after another.

use image::metadata::Orientation;

use super::jpeg::{self, OpenedJpeg};
use super::lines::{LineSink, Size};
use super::pixels::WholeImage;
use super::png::{self, OpenedPng};
use super::{Decoding, ImageError, ImageFormat, Limits};

/// A file of a format that is decoded line by line, whose header has been read.
pub(super) enum Opened<'a> {
    Jpeg(Box<OpenedJpeg<'a>>),
    Png(Box<OpenedPng<'a>>),
}

impl<'a> Opened<'a> {
    /// Nothing where the format is another one.
    ///
    /// # Errors
    /// As [`decode`](super::decode()) has them.
    pub(super) fn new(bytes: &'a [u8], limits: &Limits, decoding: Decoding) -> Result<Option<Self>, ImageError> {
        Ok(match ImageFormat::of(bytes)? {
            ImageFormat::Jpeg => Some(Self::Jpeg(Box::new(jpeg::open(bytes, limits)?.start(decoding)?))),
            ImageFormat::Png => Some(Self::Png(Box::new(png::start(bytes, limits)?))),
            ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::WebP => None,
        })
    }

    /// Of the pixels that come.
    pub(super) fn size(&self) -> Size {
        match self {
            Self::Jpeg(image) => image.size(),
            Self::Png(image) => image.size(),
        }
    }

    /// The picture in the file.
    pub(super) fn whole(&self) -> WholeImage {
        match self {
            Self::Jpeg(image) => image.whole(),
            Self::Png(image) => {
                let Size { width, height } = image.size();
                WholeImage { width, height, divisor: 1 }
            }
        }
    }

    /// How it is to be turned.
    pub(super) fn orientation(&self) -> Orientation {
        match self {
            Self::Jpeg(image) => image.orientation(),
            Self::Png(image) => image.orientation(),
        }
    }

    /// Decodes all lines.
    ///
    /// # Errors
    /// Whatever is wrong with the pixels. The sink has got a part of the lines then.
    pub(super) fn read(self, sink: &mut impl LineSink) -> Result<(), ImageError> {
        match self {
            Self::Jpeg(image) => image.read(sink),
            Self::Png(image) => image.read(sink),
        }
    }
}
