//! Pixels that somebody else has prepared.

use thiserror::Error;

use super::{PreparedImage, Preprocess};

/// Why numbers are not the input of a network. The messages tell the sender what to do.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Not the height and width that the network takes.
    #[error("the image has the shape {found:?}; the network takes {expected:?}: channels, height, width")]
    Shape {
        /// What the parameters lead to.
        expected: [usize; 3],
        /// What came.
        found: [usize; 3],
    },
    /// A shape that no image has.
    #[error(
        "the image has the shape {found:?}; send 3 channels first, then a height and a width from 1 to {}",
        Preprocess::MAX_SIDE
    )]
    Sides {
        /// What came.
        found: [usize; 3],
    },
    /// More or fewer values than the shape has room for.
    #[error("{found} values are not the {expected} that the image's shape has")]
    Length {
        /// The product of the shape.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A value that no pixel has.
    #[error(
        "value {index} of the image is {value}; send pixels from 0 to 255, which the network normalizes itself, and no \
         infinities or NaN"
    )]
    Value {
        /// Its place in the image, from 0.
        index: usize,
        /// What came.
        value: f32,
    },
}

impl Preprocess {
    /// An image that a client has decoded, resized and cropped itself, as the network's input: `[3, height, width]`, red,
    /// green, blue, row-major.
    ///
    /// What [`apply`](Self::apply) guarantees is checked here: the size, and that every value is one that a pixel can
    /// have, `0.0..=255.0`. Whether the client resized as `apply` would cannot be seen.
    ///
    /// # Errors
    /// [`TensorError`].
    pub fn accept(&self, shape: [usize; 3], data: Vec<f32>) -> Result<PreparedImage, TensorError> {
        let sides = 1..=Self::MAX_SIDE as usize;
        if shape[0] != 3 || !shape[1..].iter().all(|side| sides.contains(side)) {
            return Err(TensorError::Sides { found: shape });
        }
        if let Some((height, width)) = self.output_size() {
            let expected = [3, height as usize, width as usize];
            if shape != expected {
                return Err(TensorError::Shape { expected, found: shape });
            }
        }
        let expected = shape.iter().product();
        if data.len() != expected {
            return Err(TensorError::Length { expected, found: data.len() });
        }
        // NaN is in no range.
        match data.iter().position(|value| !(0.0..=255.0).contains(value)) {
            Some(index) => Err(TensorError::Value { index, value: data[index] }),
            None => Ok(PreparedImage::from_parts(shape, data)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::{Filter, Resize, RgbImage};

    fn preprocess(resize: Resize) -> Preprocess {
        Preprocess { resize, crop: None, filter: Filter::Bilinear, ..Preprocess::torchvision(2, 3) }
    }

    fn exact() -> Preprocess {
        preprocess(Resize::Exact { width: 3, height: 2 })
    }

    #[test]
    fn prepared_pixels_are_taken_as_they_are() {
        let image = RgbImage::new(3, 2, (0..18).map(|byte| byte * 14).collect()).unwrap();
        let prepared = exact().prepared(&image).unwrap();
        let accepted = exact().accept([3, 2, 3], prepared.data().to_vec()).unwrap();
        assert_eq!(accepted, prepared);
    }

    #[test]
    fn any_size_is_taken_where_the_parameters_name_none() {
        let any = preprocess(Resize::None);
        assert_eq!(any.accept([3, 1, 5], vec![7.0; 15]).unwrap().shape(), [3, 1, 5]);
        assert!(matches!(exact().accept([3, 1, 5], vec![7.0; 15]), Err(TensorError::Shape { .. })));
        for found in [[3, 0, 5], [3, 8193, 1], [1, 2, 3], [4, 2, 3]] {
            assert_eq!(any.accept(found, vec![0.0; 15]), Err(TensorError::Sides { found }));
        }
    }

    #[test]
    fn values_that_no_pixel_has_are_named_with_what_to_send() {
        for value in [-0.5, 255.5, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data = vec![255.0; 18];
            data[4] = value;
            assert_eq!(exact().accept([3, 2, 3], data), Err(TensorError::Value { index: 4, value }));
        }
        let error = exact().accept([3, 2, 3], vec![f32::NAN; 18]).unwrap_err().to_string();
        assert!(error.starts_with("value 0 of the image is NaN; send pixels from 0 to 255"), "{error}");
        assert_eq!(exact().accept([3, 2, 3], vec![0.0; 17]), Err(TensorError::Length { expected: 18, found: 17 }));
    }
}
