//! `MaxPool`, `AveragePool`, the pooling of whole images, and `ReduceMean` over them; adaptive pooling, which ONNX does not
//! have, as two matrix products.

use models::ops::{AdaptiveAvgPool, AvgPool, Flatten, GlobalAvgPool, MaxPool, Padding, Window};
use models::{NodeId, Tensor};

use super::conv::{pads, positive, read_padding};
use super::layout::{channels_last, show_channels_last};
use crate::read::{GraphReader, NamedValue, NodeView, ReadError};
use crate::write::{Attribute, GraphWriter};

pub(super) fn read_max(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let (input, window) = read_window(view, reader)?;
    reader.push(view.name(), MaxPool(window), &[input])
}

pub(super) fn read_average(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let (input, window) = read_window(view, reader)?;
    let (_, height, width) = reader.shape(input).chw().map_err(|_| not_an_image())?;
    // A window over the whole image, whatever its stride, is global pooling.
    if window.kernel == [height, width] && window.padding == Padding::default() {
        return reader.push(view.name(), GlobalAvgPool, &[input]);
    }
    let count_padding = view.int("count_include_pad", 0) != 0;
    reader.push(view.name(), AvgPool { window, count_padding }, &[input])
}

pub(super) fn read_global_average(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    reader.push(view.name(), GlobalAvgPool, &[input])
}

pub(super) fn read_global_max(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let (_, height, width) = reader.shape(input).chw().map_err(|_| not_an_image())?;
    reader.push(view.name(), MaxPool(Window { kernel: [height, width], ..Window::new(1, 1) }), &[input])
}

/// PyTorch writes global pooling as a mean over the axes of height and width, whose place depends on that of the channels.
pub(super) fn read_reduce_mean(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let mut axes = view.ints_of(reader, "axes", 1)?.unwrap_or_default();
    axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis += 4);
    axes.sort_unstable();
    let source = channels_last(reader, input);
    let image = match (&axes[..], source) {
        ([2, 3], None) if reader.shape(input).chw().is_ok() => input,
        ([1, 2], Some(source)) => source,
        _ => {
            let reason = format!("a mean over axes {axes:?}; only one over height and width is read");
            return Err(ReadError::Unsupported(reason));
        }
    };
    let pooled = reader.push(view.name(), GlobalAvgPool, &[image])?;
    match (pooled, source, view.int("keepdims", 1)) {
        (NamedValue::Node(id), _, 0) => reader.push(view.name(), Flatten, &[id]),
        (pooled, Some(_), _) => show_channels_last(view, reader, pooled),
        (pooled, ..) => Ok(pooled),
    }
}

/// How many windows of an axis of this length this matrix takes the means of: row `i` of `[count, size]` holds
/// `1 / length` for each number of window `i`.
pub(super) fn read_averaging(matrix: &Tensor, size: usize, reader: &mut GraphReader) -> Result<usize, ReadError> {
    let count = matrix.shape()[0];
    reader.expand(matrix.data().len())?;
    if matrix.shape()[1] == size && matrix.data() == averaging(count, size) {
        return Ok(count);
    }
    let reason = format!("a product of an image with a matrix of shape {:?} that is no pooling", matrix.shape());
    Err(ReadError::Unsupported(reason))
}

/// That matrix, row-major.
fn averaging(count: usize, size: usize) -> Vec<f32> {
    let rows = (0..count).flat_map(|index| {
        let span = AdaptiveAvgPool::span(size, count, index);
        (0..size).map(move |place| if span.contains(&place) { 1.0 / span.len() as f32 } else { 0.0 })
    });
    rows.collect()
}

/// `rows · x · columnsᵀ`, a side that stays as it is left out.
pub(super) fn write_adaptive(op: AdaptiveAvgPool, writer: &mut GraphWriter<'_>) {
    let x = writer.inputs().swap_remove(0);
    let (_, height, width) = writer.input_shape().chw().unwrap_or_default();
    let [rows, columns] = op.output;
    let left = Tensor::new([1, 1, rows, height], averaging(rows, height));
    let right = averaging(columns, width);
    let right = (0..width * columns).map(|at| right[at % columns * width + at / columns]).collect();
    let right = Tensor::new([1, 1, width, columns], right);
    match (rows == height, columns == width) {
        (true, true) => writer.alias(),
        (false, true) => {
            let left = writer.constant("rows", &left);
            writer.last("MatMul", vec![left, x], vec![]);
        }
        (true, false) => {
            let right = writer.constant("columns", &right);
            writer.last("MatMul", vec![x, right], vec![]);
        }
        (false, false) => {
            let (left, right) = (writer.constant("rows", &left), writer.constant("columns", &right));
            let half = writer.step("MatMul", vec![left, x], vec![]);
            writer.last("MatMul", vec![half, right], vec![]);
        }
    }
}

pub(super) fn write_max(op: &MaxPool, writer: &mut GraphWriter<'_>) {
    writer.node_with("MaxPool", window_attributes(&op.0));
}

pub(super) fn write_average(op: &AvgPool, writer: &mut GraphWriter<'_>) {
    let mut attributes = window_attributes(&op.window);
    attributes.push(Attribute::int("count_include_pad", usize::from(op.count_padding)));
    writer.node_with("AveragePool", attributes);
}

fn window_attributes(window: &Window) -> Vec<Attribute> {
    vec![
        Attribute::int("ceil_mode", usize::from(window.ceil)),
        Attribute::ints("kernel_shape", &window.kernel),
        Attribute::ints("pads", &pads(window.padding)),
        Attribute::ints("strides", &window.stride),
    ]
}

fn read_window(view: &NodeView<'_>, reader: &GraphReader) -> Result<(NodeId, Window), ReadError> {
    let input = view.node_input(reader, 0)?;
    let kernel =
        view.sizes("kernel_shape")?.ok_or(ReadError::Attribute { name: "kernel_shape", value: "[]".into() })?;
    let stride = view.sizes("strides")?.unwrap_or([1; 2]);
    positive("strides", &stride)?;
    positive("kernel_shape", &kernel)?;
    if view.sizes("dilations")?.unwrap_or([1; 2]) != [1; 2] {
        return Err(ReadError::Unsupported("dilated pooling".to_owned()));
    }
    let padding = read_padding(view, reader.shape(input), kernel, stride)?;
    Ok((input, Window { kernel, stride, padding, ceil: view.int("ceil_mode", 0) != 0 }))
}

fn not_an_image() -> ReadError {
    ReadError::Unsupported("pooling of something that is not an image".to_owned())
}
