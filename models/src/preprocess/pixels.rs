use super::PreprocessError;
use super::card::encode_png;

/// A decoded image: 8 bits a channel, RGB, upright.
///
/// Rows from the top, pixels from the left, three bytes a pixel, no padding: `data.len() == width * height * 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Vec<u8>,
    whole: WholeImage,
}

/// The picture in the file, of which an image may have been decoded at a fraction of the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeImage {
    pub(super) width: u32,
    pub(super) height: u32,
    /// How many of its pixels a side of a decoded one has. The last column and row may stand for fewer.
    pub(super) divisor: u8,
}

/// A black image, and where in it another one goes. All in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    /// From its left edge to the other image's.
    pub(super) left: u32,
    /// From its top edge to the other image's.
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl RgbImage {
    /// Wraps pixels, interleaved `r g b r g b …`, row by row.
    ///
    /// # Errors
    /// [`PreprocessError::PixelCount`] unless there are exactly three bytes for every pixel.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self, PreprocessError> {
        let (expected, found) = (3 * u64::from(width) * u64::from(height), data.len() as u64);
        if expected == found {
            Ok(Self { width, height, data, whole: WholeImage { width, height, divisor: 1 } })
        } else {
            Err(PreprocessError::PixelCount { width, height, expected, found })
        }
    }

    /// The same pixels, as a fraction of this picture.
    pub(super) fn of(self, whole: WholeImage) -> Self {
        Self { whole, ..self }
    }

    /// The picture that it was decoded from.
    pub(super) fn whole(&self) -> WholeImage {
        self.whole
    }

    /// Width, in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height, in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, interleaved `r g b r g b …`, row by row; `0..=255`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, taken out.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// A PNG file of it.
    pub fn to_png(&self) -> Vec<u8> {
        encode_png(self.width, self.height, &self.data)
    }

    /// The same values channels first: `[3, height, width]`, red then green then blue, each `0.0..=255.0`.
    pub fn to_planar(&self) -> Vec<f32> {
        let plane = self.data.len() / 3;
        let mut planar = vec![0.0; 3 * plane];
        let (red, rest) = planar.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        for (((pixel, r), g), b) in self.data.chunks_exact(3).zip(red).zip(green).zip(blue) {
            *r = f32::from(pixel[0]);
            *g = f32::from(pixel[1]);
            *b = f32::from(pixel[2]);
        }
        planar
    }

    /// This image on a black canvas.
    pub(super) fn padded(&self, canvas: Canvas) -> Self {
        let Canvas { left, top, width, height } = canvas;
        let stride = 3 * width as usize;
        let mut data = vec![0; stride * height as usize];
        let rows = data.chunks_exact_mut(stride).skip(top as usize);
        for (row, source) in rows.zip(self.data.chunks_exact(3 * self.width as usize)) {
            row[3 * left as usize..][..source.len()].copy_from_slice(source);
        }
        Self { width, height, data, whole: WholeImage { width, height, divisor: 1 } }
    }
}
