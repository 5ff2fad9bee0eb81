//! The inputs of recorded models, computed by a formula instead of stored.

use serde::Deserialize;

/// The shape of an input and the reference's output, written by `tests/reference/spellings.py`.
#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    /// Of the input, in the file's own order of channels.
    pub shape: Vec<usize>,
    /// Whether the input has bytes instead of real numbers.
    pub bytes: bool,
    /// Row-major.
    pub output: Vec<f32>,
}

impl Recorded {
    /// The input in graft's order, channels first, whatever the file's own order is.
    #[must_use]
    pub fn input(&self, channels: usize) -> Vec<f32> {
        let numbers = numbers(self.shape.iter().product(), self.bytes);
        if self.shape[1] == channels {
            return numbers;
        }
        let of_channel = |image: &[f32], channel| image.iter().skip(channel).step_by(channels).copied().collect();
        let images = numbers.chunks(self.shape[1] * self.shape[2] * channels);
        let planes =
            images.flat_map(|image| (0..channels).flat_map(move |channel| -> Vec<f32> { of_channel(image, channel) }));
        planes.collect()
    }
}

/// Numbers from -2 to 2, or bytes 0..255, with a period of 2003.
#[must_use]
pub fn numbers(count: usize, bytes: bool) -> Vec<f32> {
    let number = |step: usize| if bytes { (step % 256) as f64 } else { step as f64 / 500.75 - 2.0 };
    (0..count).map(|index| number(index * 7919 % 2003) as f32).collect()
}
