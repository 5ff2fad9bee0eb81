//! The walk over the nodes of a file.

use models::ops::{Flatten, Op, Transpose};
use models::{Graph, GraphBuilder, NodeId, Params};
use prost::Message;

use crate::error::ImportError;
use crate::image::{ImageInput, ImageLayout};
use crate::names::INPUT;
use crate::ops;
use crate::proto::GraphProto;
use crate::read::{Constant, FileFacts, GraphReader, LARGEST_OUTPUT, NamedValue, NodeView};

/// Reads every node, then finds the network's output.
pub(super) fn read(graph: &GraphProto, input: ImageInput, opset: i64) -> Result<(Graph, Params), ImportError> {
    let mut reader = start(graph, input, opset)?;
    for node in &graph.node {
        let view = NodeView { proto: node };
        let value = ops::read(&view, &mut reader).map_err(|source| ImportError::Node {
            node: view.name().to_owned(),
            operator: node.op_type.clone(),
            source,
        })?;
        reader.define(view.output(), value);
    }
    let output = output(&mut reader, graph)?;
    Ok(reader.finish(output))
}

/// Defines the file's input and initializers.
fn start(graph: &GraphProto, input: ImageInput, opset: i64) -> Result<GraphReader, ImportError> {
    if input.shape.len() > LARGEST_OUTPUT {
        return Err(ImportError::InputSize { name: input.name, shape: input.shape.to_string() });
    }
    let mut builder = GraphBuilder::new(INPUT, input.shape);
    let mut image = builder.input();
    if input.layout == ImageLayout::ChannelsLast {
        let name = builder.free_name("channels_last");
        image = builder.push(&name, Transpose { order: vec![1, 2, 0] }, &[image])?;
    }
    let facts = FileFacts { opset, fixed_batch: input.fixed_batch, bytes: graph.encoded_len() };
    let mut reader = GraphReader::new(builder, facts);
    reader.define(&input.name, NamedValue::Node(image));
    for tensor in &graph.initializer {
        let constant = Constant::decode(tensor)
            .map_err(|reason| ImportError::Initializer { name: tensor.name.clone(), reason })?;
        reader.define(&tensor.name, NamedValue::Constant(tensor.name.clone(), constant));
    }
    Ok(reader)
}

/// The node of logits or features. A softmax at the end is left off, with what only training sees behind it.
fn output(reader: &mut GraphReader, graph: &GraphProto) -> Result<NodeId, ImportError> {
    let name = graph.output.first().map_or("", |output| output.name.as_str());
    let Ok(NamedValue::Node(mut id)) = reader.value(name).cloned() else {
        return Err(ImportError::Undefined(name.to_owned()));
    };
    let mut end = id;
    while let Op::Softmax(_) | Op::Dropout(_) = reader.builder.node(end).op {
        let softmax = matches!(reader.builder.node(end).op, Op::Softmax(_));
        end = reader.builder.node(end).inputs[0];
        id = if softmax { end } else { id };
    }
    match *reader.builder.shape(id).dims() {
        [length, 1, 1] => vector(reader, id, length),
        _ => Ok(id),
    }
}

/// A node's numbers as a vector, which it may have been made of.
fn vector(reader: &mut GraphReader, id: NodeId, length: usize) -> Result<NodeId, ImportError> {
    let source = reader.reshaped(id);
    if *reader.builder.shape(source).dims() == [length] {
        return Ok(source);
    }
    let name = reader.builder.free_name("flatten");
    Ok(reader.builder.push(&name, Flatten, &[source])?)
}
