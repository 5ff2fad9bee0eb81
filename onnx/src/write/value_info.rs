//! The declared types of a file's inputs and outputs.

use models::ops::Shape;

use crate::proto::{
    Dimension, DimensionProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

/// A tensor of `f32` with this shape behind a batch of any size, named `batch`.
pub(crate) fn value_info(name: &str, shape: &Shape) -> ValueInfoProto {
    let batch = Dimension::Param("batch".to_owned());
    let rest = shape.dims().iter().map(|&size| Dimension::Value(size as i64));
    let dim = std::iter::once(batch).chain(rest);
    let dim = dim.map(|value| DimensionProto { value: Some(value), ..DimensionProto::default() }).collect();
    let tensor = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(TensorShapeProto { dim }) };
    let kind = TypeProto { tensor_type: Some(tensor), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

/// Marks an input as an image, as ONNX's image conventions do.
pub(crate) fn image_input(mut info: ValueInfoProto) -> ValueInfoProto {
    if let Some(kind) = &mut info.r#type {
        kind.denotation = "IMAGE".to_owned();
    }
    info
}
