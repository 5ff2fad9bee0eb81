//! `MaxPool`, `AveragePool`, `GlobalAveragePool`, and `ReduceMean` over the image.

use models::NodeId;
use models::ops::{AvgPool, Flatten, GlobalAvgPool, MaxPool, Padding, Window};

use super::ReadError;
use super::conv::{pads, positive, read_padding};
use crate::export::{Attribute, Writer};
use crate::import::{NodeView, Reader, Value};

pub(super) fn read_max(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let (input, window) = read_window(view, reader)?;
    reader.push(view, MaxPool(window), &[input])
}

pub(super) fn read_average(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let (input, window) = read_window(view, reader)?;
    let (_, height, width) = reader.shape(input).chw().map_err(|_| not_an_image())?;
    // A window over the whole image, whatever its stride, is global pooling.
    if window.kernel == [height, width] && window.padding == Padding::default() {
        return reader.push(view, GlobalAvgPool, &[input]);
    }
    let count_padding = view.int("count_include_pad", 0) != 0;
    reader.push(view, AvgPool { window, count_padding }, &[input])
}

pub(super) fn read_global_average(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    reader.push(view, GlobalAvgPool, &[input])
}

/// PyTorch writes global pooling as a mean over the axes of height and width.
pub(super) fn read_reduce_mean(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let mut axes = match view.input(1) {
        Some(_) => view.ints_input(reader, 1)?,
        None => view.attribute("axes").map(|attribute| attribute.ints.clone()).unwrap_or_default(),
    };
    axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis += 4);
    axes.sort_unstable();
    if axes != [2, 3] || reader.shape(input).chw().is_err() {
        return Err(ReadError::Unsupported(format!(
            "a mean over axes {axes:?}; only one over height and width is read"
        )));
    }
    let pooled = reader.push(view, GlobalAvgPool, &[input])?;
    match pooled {
        Value::Node(id) if view.int("keepdims", 1) == 0 => reader.push(view, Flatten, &[id]),
        _ => Ok(pooled),
    }
}

pub(super) fn write_max(op: &MaxPool, writer: &mut Writer<'_>) {
    writer.node_with("MaxPool", window_attributes(&op.0));
}

pub(super) fn write_average(op: &AvgPool, writer: &mut Writer<'_>) {
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

fn read_window(view: &NodeView<'_>, reader: &Reader) -> Result<(NodeId, Window), ReadError> {
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
