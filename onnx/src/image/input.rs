//! The image that a file wants.

use std::collections::HashSet;

use models::ops::Shape;

use super::layout::ImageLayout;
use super::start;
use crate::error::ImportError;
use crate::proto::{Dimension, GraphProto, ValueInfoProto, data_type};

/// The side of the square input that a file with symbolic height and width is given.
const DEFAULT_SIDE: usize = 224;
/// The largest side of an input, and the most channels.
const LARGEST_SIDE: usize = 8192;

/// The one input of a network for images.
pub(crate) struct ImageInput {
    pub(crate) name: String,
    /// `[channels, height, width]`, whatever the file's order.
    pub(crate) shape: Shape,
    /// Whether the file leaves height and width open.
    pub(crate) any_size: bool,
    /// Where it does, height and width that the network itself resizes every image to at its start.
    pub(crate) resized: Option<[usize; 2]>,
    pub(crate) layout: ImageLayout,
    /// The number of images, if the file fixes it.
    pub(crate) fixed_batch: Option<i64>,
    /// `TensorProto.DataType` of the numbers.
    pub(crate) elem_type: i32,
}

impl ImageInput {
    /// An input of any size, of the size that the network resizes images to.
    fn with_own_size(self, graph: &GraphProto) -> Self {
        let resized = start::resized_to(graph, &self.name, self.layout)
            .filter(|size| self.any_size && size.iter().all(|side| (1..=LARGEST_SIDE).contains(side)));
        let Some([height, width]) = resized else { return self };
        let channels = self.shape.dims().first().copied().unwrap_or_default();
        Self { shape: Shape::image(channels, height, width), resized, ..self }
    }

    /// The same for images of this height and width, if the file allows it.
    pub(crate) fn sized(self, size: Option<[usize; 2]>) -> Result<Self, ImportError> {
        let (Some([height, width]), &[channels, h, w]) = (size, self.shape.dims()) else { return Ok(self) };
        match self.any_size || [h, w] == [height, width] {
            true => Ok(Self { shape: Shape::image(channels, height, width), ..self }),
            false => Err(ImportError::Size { fixed: [h, w], wanted: [height, width] }),
        }
    }

    /// Writes height and width into the input's declaration.
    pub(crate) fn declare(&self, value: &mut ValueInfoProto) {
        let &[_, height, width] = self.shape.dims() else { return };
        let first = match self.layout {
            ImageLayout::ChannelsFirst => 2,
            ImageLayout::ChannelsLast => 1,
        };
        let shape = value.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()?.shape.as_mut());
        let dims = shape.map_or(&mut [][..], |shape| &mut shape.dim[..]);
        for (dim, size) in dims.iter_mut().skip(first).zip([height, width]) {
            dim.value = Some(Dimension::Value(size as i64));
        }
    }
}

/// The input of a file.
pub(crate) fn image_input(graph: &GraphProto) -> Result<ImageInput, ImportError> {
    let initializers: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    // Old files list every initialiser as an input too.
    let inputs: Vec<_> = graph.input.iter().filter(|input| !initializers.contains(input.name.as_str())).collect();
    match inputs[..] {
        [input] => Ok(read(input)?.with_own_size(graph)),
        _ => Err(ImportError::Inputs(inputs.iter().map(|input| input.name.clone()).collect())),
    }
}

fn read(input: &ValueInfoProto) -> Result<ImageInput, ImportError> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let elem_type = tensor.map_or(data_type::FLOAT, |tensor| tensor.elem_type);
    if ![data_type::FLOAT, data_type::FLOAT16, data_type::DOUBLE, data_type::UINT8].contains(&elem_type) {
        return Err(ImportError::InputType { name: input.name.clone(), found: data_type::name(elem_type) });
    }
    let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map_or(&[][..], |shape| &shape.dim[..]);
    let sizes: Vec<Option<usize>> = dims
        .iter()
        .map(|dim| match dim.value {
            Some(Dimension::Value(size)) => usize::try_from(size).ok().filter(|size| (1..=LARGEST_SIDE).contains(size)),
            _ => None,
        })
        .collect();
    let side = |size: Option<usize>| size.unwrap_or(DEFAULT_SIDE);
    let (shape, layout) = match sizes[..] {
        [_, Some(channels @ (1 | 3)), height, width] => {
            (Shape::image(channels, side(height), side(width)), ImageLayout::ChannelsFirst)
        }
        [_, height, width, Some(channels @ (1 | 3))] => {
            (Shape::image(channels, side(height), side(width)), ImageLayout::ChannelsLast)
        }
        [_, Some(channels), height, width] => {
            (Shape::image(channels, side(height), side(width)), ImageLayout::ChannelsFirst)
        }
        _ => {
            let dims = sizes.iter().map(|size| size.map_or("?".to_owned(), |size| size.to_string()));
            let shape = format!("[{}]", dims.collect::<Vec<_>>().join(", "));
            return Err(ImportError::InputShape { name: input.name.clone(), shape });
        }
    };
    let fixed_batch = sizes[0].map(|size| size as i64);
    let any_size = match layout {
        ImageLayout::ChannelsFirst => sizes[2].is_none() && sizes[3].is_none(),
        ImageLayout::ChannelsLast => sizes[1].is_none() && sizes[2].is_none(),
    };
    Ok(ImageInput { name: input.name.clone(), shape, any_size, resized: None, layout, fixed_batch, elem_type })
}
