//! How far the layers of a quantized network are from those in `f32`.

use super::plan::QuantizedTensor;
use super::writer::dequantized;
use crate::engine::Outputs;
use crate::proto::NodeProto;

/// The difference that quantization makes in a layer's output, with all that the layers before it made.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerError {
    /// The name of the layer's node.
    pub layer: String,
    /// Its ONNX type, such as `Conv`.
    pub operator: String,
    /// The root of the mean squared difference, relative to the root of the mean square of the output in `f32`.
    pub error: f64,
}

/// Sums of squares over images.
#[derive(Debug, Clone)]
pub struct LayerErrors(Vec<LayerSums>);

#[derive(Debug, Clone)]
struct LayerSums {
    layer: String,
    operator: String,
    tensor: String,
    difference: f64,
    reference: f64,
}

impl LayerErrors {
    pub(super) fn new<'a>(layers: impl Iterator<Item = (&'a NodeProto, &'a QuantizedTensor)>) -> Self {
        let sums = layers.map(|(node, tensor)| LayerSums {
            layer: if node.name.is_empty() { node.output[0].clone() } else { node.name.clone() },
            operator: node.op_type.clone(),
            tensor: tensor.name.clone(),
            difference: 0.0,
            reference: 0.0,
        });
        Self(sums.collect())
    }

    /// Takes what the two files of [`layer_files`](super::Quantizer::layer_files) answer to the same images.
    pub fn observe(&mut self, in_f32: &Outputs, in_int8: &Outputs) {
        for sums in &mut self.0 {
            let answers = (in_f32.get(&sums.tensor), in_int8.get(&dequantized(&sums.tensor)));
            let (Some(reference), Some(other)) = answers else { continue };
            for (&a, &b) in reference.data().iter().zip(other.data()) {
                sums.difference += (f64::from(a) - f64::from(b)).powi(2);
                sums.reference += f64::from(a).powi(2);
            }
        }
    }

    /// The errors, in the order of the layers. A layer that is all zeros has none.
    #[must_use]
    pub fn finish(self) -> Vec<LayerError> {
        let error = |sums: LayerSums| LayerError {
            layer: sums.layer,
            operator: sums.operator,
            error: if sums.reference > 0.0 { (sums.difference / sums.reference).sqrt() } else { 0.0 },
        };
        self.0.into_iter().map(error).collect()
    }
}
