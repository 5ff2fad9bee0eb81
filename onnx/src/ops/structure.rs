//! `Concat`, `Transpose`, `Reshape`, and what comes to a reshape or to nothing at all.

use models::NodeId;
use models::ops::{Concat, Flatten, Op, Reshape, Shape, Transpose};

use crate::read::{BATCH, GraphReader, NamedValue, NodeView, ReadError, axis_of, check_rank};
use crate::write::{Attribute, GraphWriter};

pub(super) fn read_concat(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let inputs = view.node_inputs(reader)?;
    let rank = inputs.first().map_or(0, |id| reader.shape(*id).dims().len());
    match (axis_of(view.int("axis", 1), rank)?, &inputs[..]) {
        (1, [only]) => Ok(NamedValue::Node(*only)),
        (1, _) => reader.push(view.name(), Concat, &inputs),
        (axis, _) => Err(ReadError::Unsupported(format!("concatenation over axis {axis}; only over channels is read"))),
    }
}

pub(super) fn read_flatten(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let shape = reader.shape(input).clone();
    // Behind the batch, and where that is all there is, behind the last axis, which a flatten alone may name.
    let axis = match view.int("axis", 1) {
        1 => 1,
        axis => axis_of(axis, shape.dims().len())?,
    };
    match axis {
        1 => reshape(view, reader, input, Shape::vector(shape.len())),
        axis => Err(ReadError::Unsupported(format!("a flatten at axis {axis}; only behind the batch is read"))),
    }
}

/// Also a `Cast` between real numbers: a network has one precision here.
pub(super) fn read_identity(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    view.value(reader, 0).cloned()
}

pub(super) fn read_cast(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    use crate::proto::data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, name};
    let to = i32::try_from(view.int("to", 0)).unwrap_or_default();
    match to {
        FLOAT | FLOAT16 | BFLOAT16 | DOUBLE => read_identity(view, reader),
        to => Err(ReadError::Unsupported(format!("a cast of what the network computes to {}", name(to)))),
    }
}

/// A reshape that leaves the batch alone. The batch is spelled 0, -1, by a computation of its size, or as the number that
/// the file was made with.
pub(super) fn read_reshape(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let target = match view.input(1) {
        Some(_) => view.ints_input(reader, 1)?.data,
        None => view.attribute("shape").map(|attribute| attribute.ints.clone()).unwrap_or_default(),
    };
    let shape = reader.shape(input);
    let refuse = || ReadError::Unsupported(format!("a reshape of {shape} to {}", shown(&target)));
    let (&batch, rest) = target.split_first().ok_or_else(refuse)?;
    let sizes = rest.iter().zip(1..).map(|(&dim, axis)| match dim {
        0 => shape.dims().get(axis - 1).copied().ok_or_else(refuse),
        -1 => Ok(0),
        dim => usize::try_from(dim).map_err(|_| refuse()),
    });
    let mut dims = sizes.collect::<Result<Vec<usize>, ReadError>>()?;
    let known = |dims: &[usize]| dims.iter().filter(|&&dim| dim > 0).try_fold(1_usize, |n, &dim| n.checked_mul(dim));
    let unknown: Vec<usize> = (0..dims.len()).filter(|&index| dims[index] == 0).collect();
    if let [unknown] = unknown[..]
        && batch != -1
    {
        dims[unknown] = known(&dims).and_then(|known| shape.len().checked_div(known)).unwrap_or(0);
    }
    let keeps_batch = matches!(batch, 0 | -1 | 1 | BATCH) || reader.fixed_batch == Some(batch);
    if !keeps_batch || dims.contains(&0) || known(&dims) != Some(shape.len()) {
        return Err(refuse());
    }
    reshape(view, reader, input, Shape::new(dims))
}

fn shown(dims: &[i64]) -> String {
    let dims = dims.iter().map(|&dim| if dim == BATCH { "n".to_owned() } else { dim.to_string() });
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

/// Dimensions of length one that go.
pub(super) fn read_squeeze(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let dims = reader.shape(input).dims().to_vec();
    let goes = match view.ints_of(reader, "axes", 1)? {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
        None => (1..).zip(&dims).filter(|&(_, &size)| size == 1).map(|(axis, _)| axis).collect(),
    };
    if goes.iter().any(|&axis| axis == 0 || dims[axis - 1] != 1) {
        return Err(ReadError::Unsupported(format!("squeezing axes {goes:?} of {}", reader.shape(input))));
    }
    let rest = (1..).zip(&dims).filter(|(axis, _)| !goes.contains(axis)).map(|(_, &size)| size);
    reshape(view, reader, input, Shape::new(rest.collect::<Vec<_>>()))
}

/// Dimensions of length one that come.
pub(super) fn read_unsqueeze(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let mut rest = reader.shape(input).dims().to_vec().into_iter();
    let axes = view.ints_of(reader, "axes", 1)?.unwrap_or_default();
    check_rank(axes.len()).map_err(ReadError::Unsupported)?;
    let rank = rest.len() + axes.len();
    let comes = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let dims: Option<Vec<usize>> =
        (1..=rank).map(|axis| if comes.contains(&axis) { Some(1) } else { rest.next() }).collect();
    match dims {
        Some(dims) if !comes.contains(&0) && rest.next().is_none() => reshape(view, reader, input, Shape::new(dims)),
        _ => Err(ReadError::Unsupported(format!("new dimensions at {axes:?} of {}", reader.shape(input)))),
    }
}

/// A dimension of length one that goes.
pub(super) fn drop_dimension(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    id: NodeId,
    axis: usize,
) -> Result<NamedValue, ReadError> {
    let mut dims = reader.shape(id).dims().to_vec();
    dims.remove(axis);
    reshape(view, reader, id, Shape::new(dims))
}

/// A reshape in its one form: none where nothing changes, of what another reshape took where there is one before it, and a
/// flatten where a vector comes out.
fn reshape(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    input: NodeId,
    shape: Shape,
) -> Result<NamedValue, ReadError> {
    if *reader.shape(input) == shape {
        return Ok(NamedValue::Node(input));
    }
    let source = reader.reshaped(input);
    if *reader.shape(source) == shape {
        return Ok(NamedValue::Node(source));
    }
    match shape.dims() {
        [_] => reader.push(view.name(), Flatten, &[source]),
        _ => reader.push(view.name(), Reshape { shape }, &[source]),
    }
}

/// A transposition that leaves the batch alone. Two in a row are one, or none.
pub(super) fn read_transpose(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let rank = reader.shape(input).dims().len();
    let order: Vec<i64> = view.attribute("perm").map(|attribute| attribute.ints.clone()).unwrap_or_default();
    let axes = order.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<usize>, _>>()?;
    let Some((0, axes)) = axes.split_first().filter(|(_, axes)| axes.len() == rank && !axes.contains(&0)) else {
        return Err(ReadError::Unsupported(format!("a transposition by {order:?}, which moves the batch")));
    };
    let mut order: Vec<usize> = axes.iter().map(|axis| axis - 1).collect();
    let mut source = input;
    if let Op::Transpose(before) = &reader.builder.node(input).op {
        order = order.iter().map(|&from| before.order[from]).collect();
        source = reader.builder.node(input).inputs[0];
    }
    if order.iter().copied().eq(0..rank) {
        return Ok(NamedValue::Node(source));
    }
    reader.push(view.name(), Transpose { order }, &[source])
}

pub(super) fn write_concat(writer: &mut GraphWriter<'_>) {
    writer.node_with("Concat", vec![Attribute::int("axis", 1)]);
}

pub(super) fn write_flatten(writer: &mut GraphWriter<'_>) {
    writer.node_with("Flatten", vec![Attribute::int("axis", 1)]);
}

/// The batch as 0: what it was.
pub(super) fn write_reshape(op: &Reshape, writer: &mut GraphWriter<'_>) {
    let dims: Vec<i64> = std::iter::once(0).chain(op.shape.dims().iter().map(|&dim| dim as i64)).collect();
    let shape = writer.integers("shape", &dims);
    writer.node_taking("Reshape", vec![shape], vec![]);
}

pub(super) fn write_transpose(op: &Transpose, writer: &mut GraphWriter<'_>) {
    let order: Vec<usize> = std::iter::once(0).chain(op.order.iter().map(|from| from + 1)).collect();
    writer.node_with("Transpose", vec![Attribute::ints("perm", &order)]);
}
