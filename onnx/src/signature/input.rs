//! What the image input and the first operators of a file say about its pixels.

use std::fmt;

use models::preprocess::Preset;

use super::SignatureError;
use crate::error::ImportError;
use crate::image::{ImageLayout, constant, image_input, only_user};
use crate::proto::{GraphProto, NodeProto, data_type};
use crate::read::Constant;

/// What the images must be.
#[derive(Debug, Clone, PartialEq)]
pub struct InputEvidence {
    /// The input's name.
    pub name: String,
    /// 3 for RGB, 1 for gray.
    pub channels: usize,
    /// Channels, height and width with the batch, as the file declares them.
    pub shape: String,
    /// The element type, as ONNX calls it.
    pub elem_type: String,
    /// The scale of the pixels, if the file tells.
    pub pixels: PixelScale,
    /// Who says height and width.
    pub size: ImageSize,
}

/// Who says the height and width of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSize {
    /// The file's declaration.
    Declared,
    /// The declaration leaves them open, and the network resizes every image to this height and width itself.
    Resized([usize; 2]),
    /// Nobody: the network takes any.
    Open,
}

/// The scale of the pixels that go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelScale {
    /// Whole numbers 0..=255 and no others: the input's type is a byte.
    Bytes,
    /// 0..=255: the network scales them itself, and this is the scale that its constants are for.
    Scaled255,
    /// 0..=1, likewise.
    Scaled1,
    /// The network begins with arithmetic that fits no common scale.
    Unclear,
    /// The file does not say.
    Unsaid,
}

impl InputEvidence {
    pub(super) fn of(graph: &GraphProto) -> Result<Self, ImportError> {
        let input = image_input(graph)?;
        let dims = input.shape.dims();
        let (channels, height, width) = (dims[0], dims[1], dims[2]);
        let side = |size: usize| if input.any_size { "?".to_owned() } else { size.to_string() };
        let batch = input.fixed_batch.map_or("n".to_owned(), |batch| batch.to_string());
        let shape = match input.layout {
            ImageLayout::ChannelsFirst => format!("[{batch}, {channels}, {}, {}]", side(height), side(width)),
            ImageLayout::ChannelsLast => format!("[{batch}, {}, {}, {channels}]", side(height), side(width)),
        };
        let pixels = match input.elem_type {
            data_type::UINT8 => PixelScale::Bytes,
            _ => ScaleShift::at_start(graph, &input.name, channels).map_or(PixelScale::Unsaid, |affine| affine.scale()),
        };
        let size = match (input.any_size, input.resized) {
            (true, Some(size)) => ImageSize::Resized(size),
            (true, None) => ImageSize::Open,
            (false, _) => ImageSize::Declared,
        };
        Ok(Self { name: input.name, channels, shape, elem_type: data_type::name(input.elem_type), pixels, size })
    }

    /// Whether the images that graft decodes can fill it.
    ///
    /// # Errors
    /// [`SignatureError::Channels`].
    pub fn check(&self) -> Result<(), SignatureError> {
        match self.channels {
            1 | 3 => Ok(()),
            _ => Err(SignatureError::Channels { input: format!("input `{}` {}", self.name, self.shape) }),
        }
    }

    /// The preset whose pixels the file wants, if it says so.
    #[must_use]
    pub fn preset(&self) -> Option<Preset> {
        match self.pixels {
            PixelScale::Bytes | PixelScale::Scaled255 => Some(Preset::Bytes),
            PixelScale::Scaled1 => Some(Preset::ZeroOne),
            PixelScale::Unclear | PixelScale::Unsaid => None,
        }
    }
}

impl fmt::Display for InputEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, channels, shape, elem_type, pixels, size } = self;
        write!(f, "input `{name}` {shape} {elem_type}: ")?;
        f.write_str(match pixels {
            PixelScale::Bytes => "bytes go in as they are (the type holds nothing else)",
            PixelScale::Scaled255 => "0..255, which the network scales itself (it begins with the arithmetic)",
            PixelScale::Scaled1 => "0..1, which the network normalizes itself (it begins with the arithmetic)",
            PixelScale::Unclear => "the network begins with arithmetic of its own that fits no common scale",
            PixelScale::Unsaid => "the file does not say how pixels are scaled",
        })?;
        f.write_str(if *channels == 1 { "; RGB is turned to gray" } else { "" })?;
        match size {
            ImageSize::Declared => Ok(()),
            ImageSize::Resized([height, width]) => {
                write!(f, "; the network squashes images of any size to {height}x{width} itself")
            }
            ImageSize::Open => f.write_str("; the file leaves height and width open (see --size)"),
        }
    }
}

/// Arithmetic with constants at the start of a network: `scale·x + shift` for each channel.
#[derive(Debug, Clone, PartialEq)]
struct ScaleShift {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// The widest range that a network is normalized to, from Caffe's -124..152 to a division by 0.2: ten deviations.
const WIDEST: f64 = 10.0;

impl ScaleShift {
    /// The arithmetic that every image goes through first; `None` where there is none.
    fn at_start(graph: &GraphProto, input: &str, channels: usize) -> Option<Self> {
        let mut affine = Self { scale: vec![1.0; channels], shift: vec![0.0; channels] };
        let (mut at, mut found) = (input.to_owned(), false);
        for _ in 0..graph.node.len() {
            let Some(node) = only_user(graph, &at) else { break };
            match node.op_type.as_str() {
                "Identity" | "Cast" | "Transpose" | "Resize" => {}
                op @ ("Add" | "Sub" | "Mul" | "Div") => {
                    let Some(numbers) = operand(graph, node, &at, channels) else { break };
                    affine.apply(op, &numbers);
                    found = true;
                }
                _ => break,
            }
            at = node.output.first().cloned()?;
        }
        found.then_some(affine)
    }

    fn apply(&mut self, op: &str, numbers: &[f64]) {
        for (channel, &number) in numbers.iter().enumerate() {
            let (scale, shift) = (&mut self.scale[channel], &mut self.shift[channel]);
            match op {
                "Add" => *shift += number,
                "Sub" => *shift -= number,
                "Mul" => (*scale, *shift) = (*scale * number, *shift * number),
                _ => (*scale, *shift) = (*scale / number, *shift / number),
            }
        }
    }

    /// The scale of pixels that these constants make a network's usual numbers of.
    fn scale(&self) -> PixelScale {
        let mut scales =
            self.scale.iter().zip(&self.shift).map(|(&scale, &shift)| match (scale.abs(), -shift / scale) {
                // A factor that would be lost on 0..1.
                (factor, _) if factor > 0.0 && factor * 255.0 <= 2.0 * WIDEST => PixelScale::Scaled255,
                // A mean that no pixel of 0..1 has.
                (factor, mean) if factor.is_finite() && mean > 1.5 && mean < 256.0 => PixelScale::Scaled255,
                (factor, mean) if (0.5..=256.0).contains(&factor) && (0.0..=1.0).contains(&mean) => PixelScale::Scaled1,
                _ => PixelScale::Unclear,
            });
        let Some(first) = scales.next() else { return PixelScale::Unclear };
        if scales.all(|other| other == first) { first } else { PixelScale::Unclear }
    }
}

/// The constant operand of a node, for each channel. In a difference or quotient the image comes first.
fn operand(graph: &GraphProto, node: &NodeProto, image: &str, channels: usize) -> Option<Vec<f64>> {
    let [left, right] = &node.input[..] else { return None };
    let name = match left == image {
        true => right,
        false if matches!(node.op_type.as_str(), "Add" | "Mul") => left,
        false => return None,
    };
    let Some(Constant::Floats(numbers)) = constant(graph, name) else { return None };
    match numbers.data() {
        [number] => Some(vec![f64::from(*number); channels]),
        numbers if numbers.len() == channels => Some(numbers.iter().map(|&number| f64::from(number)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(operations: &[(&str, f64)]) -> PixelScale {
        let mut affine = ScaleShift { scale: vec![1.0; 3], shift: vec![0.0; 3] };
        operations.iter().for_each(|(op, number)| affine.apply(op, &[*number; 3]));
        affine.scale()
    }

    /// The normalizations of Keras' and torchvision's networks, and of Caffe's.
    #[test]
    fn common_normalizations_tell_the_scale_of_their_pixels() {
        for (operations, expected) in [
            (&[("Div", 255.0)][..], PixelScale::Scaled255),
            (&[("Mul", 1.0 / 255.0), ("Sub", 0.485), ("Div", 0.229)], PixelScale::Scaled255),
            (&[("Div", 127.5), ("Sub", 1.0)], PixelScale::Scaled255),
            (&[("Sub", 123.68)], PixelScale::Scaled255),
            (&[("Sub", 123.675), ("Div", 58.395)], PixelScale::Scaled255),
            (&[("Sub", 0.485), ("Div", 0.229)], PixelScale::Scaled1),
            (&[("Mul", 2.0), ("Sub", 1.0)], PixelScale::Scaled1),
            (&[("Mul", 255.0)], PixelScale::Scaled1),
            (&[("Add", 3.0)], PixelScale::Unclear),
            (&[("Mul", 0.0)], PixelScale::Unclear),
        ] {
            assert_eq!(scale(operations), expected, "{operations:?}");
        }
    }
}
