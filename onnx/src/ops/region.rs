//! `Slice`, `Split`, `Gather` of channels, `Pad`.

use models::NodeId;
use models::ops::{Op, Pad, Slice, Span};

use super::structure::drop_dimension;
use crate::read::{GraphReader, NamedValue, NodeView, ReadError, axis_of, bounded, read_spans};
use crate::write::{Attribute, GraphWriter};

/// What stands for the size of the batch where a slice names its end: frameworks spell it as the largest number they have.
const ANY_BATCH: usize = i32::MAX as usize;

pub(super) fn read_slice(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let dims: Vec<usize> = std::iter::once(ANY_BATCH).chain(reader.shape(input).dims().iter().copied()).collect();
    let spans = read_spans(view, reader, &dims)?;
    if spans[0] != Span::all(ANY_BATCH) {
        return Err(ReadError::Unsupported("a slice of the batch".to_owned()));
    }
    take(view, reader, input, spans[1..].to_vec())
}

/// A slice, unless it takes everything as it is. A part of a part is one part.
fn take(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    input: NodeId,
    spans: Vec<Span>,
) -> Result<NamedValue, ReadError> {
    let everything = |id: NodeId, spans: &[Span]| {
        spans.iter().zip(reader.shape(id).dims()).all(|(span, &size)| *span == Span::all(size))
    };
    if everything(input, &spans) {
        return Ok(NamedValue::Node(input));
    }
    let before = reader.builder.node(input);
    let (source, spans) = match &before.op {
        Op::Slice(outer) => {
            let within = spans.iter().zip(&outer.spans).map(|(inner, outer)| inner.within(*outer));
            (before.inputs[0], within.collect())
        }
        _ => (input, spans),
    };
    // As two reversals do.
    if everything(source, &spans) {
        return Ok(NamedValue::Node(source));
    }
    reader.push(view.name(), Slice { spans }, &[source])
}

/// Several slices, one for each output. The sizes were an attribute before operator set 13; without them the parts are
/// equal.
pub(super) fn read_split(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let dims = reader.shape(input).dims().to_vec();
    let axis = match axis_of(view.int("axis", 0), dims.len())? {
        0 => return Err(ReadError::Unsupported("a split of the batch".to_owned())),
        axis => axis - 1,
    };
    let (size, parts) = (dims[axis], view.outputs().len().max(1));
    let equal = || {
        let share = size.div_ceil(parts);
        (0..parts).map(|part| share.min(size.saturating_sub(part * share)) as i64).collect()
    };
    let lengths = view.ints_of(reader, "split", 1)?.unwrap_or_else(equal);
    let mut first = None;
    let mut start = 0;
    for (name, &length) in view.outputs().iter().zip(&lengths) {
        let length = bounded(length).filter(|&length| length > 0 && length <= size - start);
        let length = length.ok_or_else(|| {
            ReadError::Unsupported(format!("a split of a dimension of {size} into parts of {lengths:?}"))
        })?;
        let mut spans: Vec<Span> = dims.iter().map(|&size| Span::all(size)).collect();
        spans[axis] = Span { start, length, step: 1 };
        start += length;
        let value = take(view, reader, input, spans)?;
        first.get_or_insert_with(|| value.clone());
        reader.define(name, value);
    }
    first.ok_or_else(|| ReadError::Unsupported("a split without parts".to_owned()))
}

/// Channels by number: a list of them in equal steps, or a single one, whose dimension goes.
pub(super) fn read_gather(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let dims = reader.shape(input).dims().to_vec();
    let indices = view.ints_input(reader, 1)?;
    let axis = match axis_of(view.int("axis", 0), dims.len())? {
        0 => return Err(ReadError::Unsupported("images picked out of the batch".to_owned())),
        axis => axis - 1,
    };
    let size = dims[axis] as i64;
    let positions: Vec<i64> = indices.data.iter().map(|&index| if index < 0 { index + size } else { index }).collect();
    let step = match positions[..] {
        [first, second, ..] => second.saturating_sub(first),
        _ => 1,
    };
    let even = positions.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) == step);
    if positions.is_empty()
        || !even
        || positions.iter().any(|index| !(0..size).contains(index))
        || indices.shape.len() > 1
    {
        return Err(ReadError::Unsupported(format!("gathering {:?} of a dimension of {size}", indices.data)));
    }
    let mut spans: Vec<Span> = dims.iter().map(|&size| Span::all(size)).collect();
    spans[axis] = Span { start: positions[0] as usize, length: positions.len(), step: step as isize };
    let value = take(view, reader, input, spans)?;
    match (value, indices.shape.is_empty()) {
        (NamedValue::Node(id), true) => drop_dimension(view, reader, id, axis),
        (value, _) => Ok(value),
    }
}

/// Constant padding; the numbers were attributes before operator set 11, and operator set 18 lets some axes out.
pub(super) fn read_pad(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let rank = reader.shape(input).dims().len();
    let mode = view.text("mode", "constant");
    if mode != "constant" {
        return Err(ReadError::Unsupported(format!("padding in the mode `{mode}`")));
    }
    let pads = view.ints_of(reader, "pads", 1)?.unwrap_or_default();
    let value = view.scalar_input(reader, 2)?.unwrap_or(view.float("value", 0.0));
    let axes = match view.input(3) {
        Some(_) => view.ints_input(reader, 3)?.data,
        None => (0..=rank as i64).collect(),
    };
    let sizes: Option<Vec<usize>> = pads.iter().map(|&pad| bounded(pad)).collect();
    let sizes = sizes.filter(|sizes| sizes.len() == 2 * axes.len());
    let sizes = sizes.ok_or(ReadError::Attribute { name: "pads", value: format!("{pads:?}") })?;
    let mut pad = Pad { before: vec![0; rank], after: vec![0; rank], value };
    for (index, &axis) in axes.iter().enumerate() {
        let (before, after) = (sizes[index], sizes[index + axes.len()]);
        match axis_of(axis, rank)? {
            0 if before + after == 0 => {}
            0 => return Err(ReadError::Unsupported("padding of the batch".to_owned())),
            axis => (pad.before[axis - 1], pad.after[axis - 1]) = (before, after),
        }
    }
    if pad.before.iter().chain(&pad.after).all(|&size| size == 0) {
        return Ok(NamedValue::Node(input));
    }
    reader.push(view.name(), pad, &[input])
}

/// The dimensions that are not taken whole, each with its bounds. Going backwards, the end is one before the first index,
/// which only a number below every size can name.
pub(super) fn write_slice(op: &Slice, writer: &mut GraphWriter<'_>) {
    let dims = writer.input_shape().dims().to_vec();
    let cut = (1..).zip(op.spans.iter().zip(&dims)).filter(|(_, (span, size))| **span != Span::all(**size));
    let (mut starts, mut ends, mut axes, mut steps) = (vec![], vec![], vec![], vec![]);
    for (axis, (span, _)) in cut {
        let last = span.indices().next_back().unwrap_or(span.start) as i64;
        starts.push(span.start as i64);
        ends.push(match span.step {
            1.. => last + 1,
            _ if last == 0 => i64::from(i32::MIN),
            _ => last - 1,
        });
        axes.push(axis);
        steps.push(span.step as i64);
    }
    let bounds = [("starts", starts), ("ends", ends), ("axes", axes), ("steps", steps)];
    let bounds = bounds.map(|(role, numbers)| writer.integers(role, &numbers));
    writer.node_taking("Slice", bounds.to_vec(), vec![]);
}

pub(super) fn write_pad(op: &Pad, writer: &mut GraphWriter<'_>) {
    let side = |sizes: &[usize]| std::iter::once(0).chain(sizes.iter().map(|&size| size as i64)).collect::<Vec<i64>>();
    let pads = writer.integers("pads", &[side(&op.before), side(&op.after)].concat());
    let value = writer.scalar("value", op.value);
    writer.node_taking("Pad", vec![pads, value], vec![Attribute::text("mode", "constant")]);
}
