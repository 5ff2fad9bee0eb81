use std::io;

use super::{ImageFormat, Limits, rules};

/// Why the bytes of a file did not become an image. The sender's fault in every case but
/// [`Parameters`](Self::Parameters); the messages tell them what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No bytes at all.
    #[error("the image is empty (0 bytes); send the contents of an image file")]
    Empty,

    /// The first bytes belong to no image format.
    #[error("not an image; send one of these formats: {}", ImageFormat::names())]
    NotAnImage,

    /// Something else than an image, told by its first bytes.
    #[error("not an image but {name}; {advice}")]
    OtherFile {
        /// What it is, with its article.
        name: &'static str,
        /// What to do about it.
        advice: &'static str,
    },

    /// An image, in a format that is not read here.
    #[error("{name} images are not supported; convert it to one of: {}", ImageFormat::names())]
    UnsupportedFormat {
        /// The format found.
        name: &'static str,
    },

    /// A supported format in a rare encoding that is not read here, such as arithmetic-coded JPEG.
    #[error("this kind of {format} is not supported ({reason}); save it again with an ordinary encoder")]
    UnsupportedEncoding {
        /// The format found.
        format: ImageFormat,
        /// What the decoder says.
        reason: String,
    },

    /// The file ends before the image does.
    #[error("the {format} is truncated: the file ends before the image does; send it again in full")]
    Truncated {
        /// The format found.
        format: ImageFormat,
    },

    /// The header declares more than the limits allow. Nothing was decoded.
    #[error(
        "the image is too large: {width}x{height} pixels, and the limit is {}x{} and {} pixels in all; \
         make it smaller", limits.max_width, limits.max_height, limits.max_pixels
    )]
    TooLarge {
        /// Declared width, in pixels.
        width: u32,
        /// Declared height, in pixels.
        height: u32,
        /// What it was held against.
        limits: Limits,
    },

    /// The image itself is within the limits, but resizing its shorter side would carry it beyond: it is too
    /// elongated, and these parameters crop nothing off.
    #[error(
        "the image is too elongated: {width}x{height} pixels would be resized to {resized_width}x{resized_height}, \
         and the limit is {} pixels in all; crop it first", limits.max_pixels
    )]
    TooElongated {
        /// Width as decoded, in pixels.
        width: u32,
        /// Height as decoded, in pixels.
        height: u32,
        /// Width after resizing, in pixels.
        resized_width: u64,
        /// Height after resizing, in pixels.
        resized_height: u64,
        /// What it was held against.
        limits: Limits,
    },

    /// The header declares an image without pixels.
    #[error("the image has no pixels ({width}x{height})")]
    ZeroSized {
        /// Declared width, in pixels.
        width: u32,
        /// Declared height, in pixels.
        height: u32,
    },

    /// The decoder gave up.
    #[error("the {format} is corrupt: {reason}")]
    Corrupt {
        /// The format found.
        format: ImageFormat,
        /// What the decoder says.
        reason: String,
    },

    /// Not the image but the parameters it should be prepared with are wrong.
    #[error(transparent)]
    Parameters(#[from] PreprocessError),
}

impl ImageError {
    /// Sorts a decoder's error. Its own words are for programmers.
    pub(super) fn from_decoder(format: ImageFormat, error: &image::ImageError) -> Self {
        let reason = match error {
            image::ImageError::Unsupported(_) => {
                let reason = "its header asks for an encoding that graft does not read".to_owned();
                return Self::UnsupportedEncoding { format, reason };
            }
            error if is_end_of_file(error) => return Self::Truncated { format },
            image::ImageError::Limits(_) => "decoding it takes more memory than its size explains",
            _ => "its parts contradict each other",
        };
        Self::Corrupt { format, reason: reason.to_owned() }
    }
}

/// Whether a decoder stopped because the bytes did.
fn is_end_of_file(error: &image::ImageError) -> bool {
    match error {
        image::ImageError::IoError(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        // What lies below is of the decoders' own types, which `image` does not export; their words are all there is.
        error => error.to_string().to_lowercase().contains("unexpected end of file"),
    }
}

/// Why parameters, or a batch, are refused. The fault of whoever wrote the model's metadata or the code, not of the
/// sender of an image.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// Images that are to be decoded smaller, without a size that they need.
    #[error(
        "images of this model are not resized, so that nothing says how small they may be decoded; decode them exactly"
    )]
    Unscaled,
    /// Made by another version of graft, whose pixels this one would not reproduce.
    #[error(
        "preprocessing version {found} is not implemented here (this build implements version {}); \
         use the version of graft that wrote the model, or export it again",
        rules::VERSION
    )]
    Version {
        /// The version the parameters carry.
        found: u32,
    },

    /// A side of zero, or beyond what any network reads.
    #[error("{what} is {value} pixels; it must be between 1 and {}", rules::MAX_SIDE)]
    Side {
        /// Which side, as in `crop height`.
        what: &'static str,
        /// Its value, in pixels.
        value: u32,
    },

    /// The crop is larger than what it is cut from, so every image would get black borders.
    #[error("the crop of {height}x{width} (height x width) is larger than the resized image; enlarge the resize")]
    CropTooLarge {
        /// Height of the crop, in pixels.
        height: u32,
        /// Width of the crop, in pixels.
        width: u32,
    },

    /// A mean that is not a finite number.
    #[error("the mean of channel {channel} is {value}; it must be a finite number")]
    Mean {
        /// 0, 1, 2 for red, green, blue.
        channel: usize,
        /// The value found.
        value: f32,
    },

    /// A standard deviation that nothing can be divided by.
    #[error("the standard deviation of channel {channel} is {value}; it must be a finite number above zero")]
    Std {
        /// 0, 1, 2 for red, green, blue.
        channel: usize,
        /// The value found.
        value: f32,
    },

    /// A region to resample that does not lie in the image, or a result without pixels.
    #[error("cannot resample: {reason}")]
    Region {
        /// What is wrong with it.
        reason: String,
    },

    /// Pixel data whose length is not three bytes a pixel.
    #[error("{width}x{height} RGB pixels take {expected} bytes, not {found}")]
    PixelCount {
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
        /// Bytes they take.
        expected: u64,
        /// Bytes given.
        found: u64,
    },

    /// A batch of no images.
    #[error("a batch needs at least one image")]
    EmptyBatch,

    /// Images of several shapes, which cannot be stacked.
    #[error("image {index} of the batch is {found:?} and the first is {expected:?}; all must have one shape")]
    Shape {
        /// Which image, from zero.
        index: usize,
        /// Shape of the first, `[3, height, width]`.
        expected: [usize; 3],
        /// Shape of this one, `[3, height, width]`.
        found: [usize; 3],
    },
}
