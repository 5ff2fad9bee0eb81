//! Axes and slices as ONNX counts them.

use models::ops::Span;

use super::error::ReadError;
use super::reader::GraphReader;
use super::view::NodeView;

/// An axis of the file's tensors, the batch being 0, with negative ones counted from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, ReadError> {
    let positive = if axis < 0 { axis.saturating_add(rank as i64 + 1) } else { axis };
    let found = usize::try_from(positive).ok().filter(|&axis| axis <= rank);
    found.ok_or(ReadError::Attribute { name: "axis", value: axis.to_string() })
}

/// What a `Slice` takes of a tensor of these dimensions. Starts, ends, axes and steps were attributes before operator set
/// 10 and are inputs since.
pub(crate) fn read_spans(view: &NodeView<'_>, reader: &GraphReader, dims: &[usize]) -> Result<Vec<Span>, ReadError> {
    let starts = view.ints_of(reader, "starts", 1)?.unwrap_or_default();
    let ends = view.ints_of(reader, "ends", 2)?.unwrap_or_default();
    let all = || (0..starts.len() as i64).collect();
    let axes = view.ints_of(reader, "axes", 3)?.unwrap_or_else(all);
    let steps = view.ints_of(reader, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let count = starts.len();
    if [ends.len(), axes.len(), steps.len()] != [count; 3] || count > dims.len() {
        return Err(ReadError::Unsupported(format!("a slice of {starts:?} to {ends:?} along {axes:?} by {steps:?}")));
    }
    let mut spans: Vec<Span> = dims.iter().map(|&size| Span::all(size)).collect();
    let rank = dims.len().saturating_sub(1);
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = axis_of(axis, rank)?;
        let size = dims.get(axis).copied().unwrap_or_default();
        let span = span(size, start, end, step);
        *spans.get_mut(axis).ok_or(ReadError::MissingInput(0))? = span.ok_or_else(|| {
            ReadError::Unsupported(format!("a slice of {start} to {end} by {step} of a dimension of {size}"))
        })?;
    }
    Ok(spans)
}

/// What ONNX's bounds come to for a dimension of this size: negative ones count from the end, and any are clamped.
fn span(size: usize, start: i64, end: i64, step: i64) -> Option<Span> {
    let length = size as i64;
    let from_end = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let (start, end) = (from_end(start).clamp(lowest, highest), from_end(end).clamp(lowest, highest));
    let distance = if step > 0 { end - start } else { start - end };
    let length = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs().max(1));
    let step = isize::try_from(step).ok().filter(|&step| step != 0)?;
    Some(Span { start: usize::try_from(start).unwrap_or(0), length: usize::try_from(length).ok()?, step })
}
