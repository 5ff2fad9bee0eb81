//! `Conv`.

use models::ops::{Conv2d, Padding, Shape};

use crate::read::{GraphReader, NamedValue, NewNode, NodeView, ReadError, bounded};
use crate::write::{Attribute, GraphWriter};

pub(super) fn read(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let (name, weight) = view.tensor_input(reader, 1)?;
    let &[out_channels, per_group, height, width] = weight.shape() else {
        return Err(ReadError::Unsupported(format!("a weight of shape {:?}; only images are read", weight.shape())));
    };
    let kernel = [height, width];
    let stride = view.sizes("strides")?.unwrap_or([1; 2]);
    let dilation = view.sizes("dilations")?.unwrap_or([1; 2]);
    let groups = bounded(view.int("group", 1)).filter(|&groups| groups > 0);
    let groups = groups.ok_or(ReadError::Attribute { name: "group", value: view.int("group", 1).to_string() })?;
    if !out_channels.is_multiple_of(groups) {
        return Err(ReadError::Attribute { name: "group", value: groups.to_string() });
    }
    positive("strides", &stride)?;
    positive("dilations", &dilation)?;
    positive("kernel_shape", &kernel)?;
    let extent = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) + 1);
    let padding = read_padding(view, reader.shape(input), extent, stride)?;
    let mut params = vec![(name, weight)];
    if view.input(2).is_some() {
        params.push(view.tensor_input(reader, 2)?);
    }
    let in_channels = per_group * groups;
    let conv = Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups, bias: params.len() == 2 };
    reader.push_with(NewNode { name: view.name(), op: conv.into(), params }, &[input])
}

pub(super) fn write(op: &Conv2d, writer: &mut GraphWriter<'_>) {
    writer.node_with(
        "Conv",
        vec![
            Attribute::ints("dilations", &op.dilation),
            Attribute::int("group", op.groups),
            Attribute::ints("kernel_shape", &op.kernel),
            Attribute::ints("pads", &pads(op.padding)),
            Attribute::ints("strides", &op.stride),
        ],
    );
}

/// ONNX's order of `pads`.
pub(super) fn pads(padding: Padding) -> [usize; 4] {
    [padding.top, padding.left, padding.bottom, padding.right]
}

pub(super) fn positive(name: &'static str, sizes: &[usize]) -> Result<(), ReadError> {
    if sizes.contains(&0) {
        return Err(ReadError::Attribute { name, value: format!("{sizes:?}") });
    }
    Ok(())
}

/// `pads`, or what `auto_pad` comes to for this input and a window of this extent.
pub(super) fn read_padding(
    view: &NodeView<'_>,
    input: &Shape,
    extent: [usize; 2],
    stride: [usize; 2],
) -> Result<Padding, ReadError> {
    let (_, height, width) =
        input.chw().map_err(|_| ReadError::Unsupported(format!("an input of shape {input}; only images are read")))?;
    let same = Padding::same([height, width], extent, stride);
    match view.text("auto_pad", "NOTSET") {
        "NOTSET" => {
            let [top, left, bottom, right] = view.sizes("pads")?.unwrap_or_default();
            Ok(Padding { top, left, bottom, right })
        }
        "VALID" => Ok(Padding::default()),
        "SAME_UPPER" => Ok(same),
        "SAME_LOWER" => Ok(same.mirrored()),
        other => Err(ReadError::Attribute { name: "auto_pad", value: other.to_owned() }),
    }
}
