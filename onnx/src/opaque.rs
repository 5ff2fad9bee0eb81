//! Opaque models: ONNX files that graft cannot parse, such as quantized networks and those with operators that graft does
//! not know. graft serves them unchanged, and can replace their head (see [`features`](crate::features)).

use std::collections::{HashMap, HashSet};

use models::channels::ChannelOrder;
use models::ops::{Shape, Slice, Span, Transpose};
use models::{GraphBuilder, GraphError, ModelSpec, NodeId};

use crate::edit::{cast, first_dimension, free, names, set_first_dimension};
use crate::file::{FileError, ModelFile};
use crate::import::{ImageInput, ImageLayout, ImportError, image_input};
use crate::names::{INPUT, LOGITS};
use crate::proto::{
    Dimension, GraphProto, ModelProto, NodeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};
use crate::write::{ExportOptions, GraphParts, GraphWriter, PixelNormalization, WriterNames, value_info};
use crate::{metadata, ops, write};

/// The oldest operator set in which a slice takes its bounds as inputs, as graft writes it.
const OLDEST_OPSET: i64 = 10;

/// Operators between the logits and a file's output that do not change the order of the classes.
const TRANSPARENT: [&str; 6] = ["Softmax", "Identity", "Cast", "DequantizeLinear", "QuantizeLinear", "QLinearSoftmax"];

/// How to wrap a foreign file as an opaque model.
#[derive(Debug, Clone, Copy)]
pub struct OpaqueOptions<'a> {
    /// Labels and preprocessing, which go into the metadata.
    pub spec: &'a ModelSpec,
    /// The order of the color channels that the network takes.
    pub channel_order: ChannelOrder,
    /// The batch size that the wrapped file declares.
    pub batch: Batching,
}

/// The batch size that a wrapped file declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// Any, whatever the file declares. The network inside may not support it.
    Dynamic,
    /// The size that the file declares.
    Declared,
    /// 1, whatever the file declares.
    One,
}

impl ModelFile {
    /// The batch size that the file fixes; `None` when it takes any.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input.
    pub fn fixed_batch(&self) -> Result<Option<i64>, ImportError> {
        Ok(image_input(self.graph()?)?.fixed_batch)
    }

    /// The shape of the image that the file takes, `[channels, height, width]` whatever its layout.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input.
    pub fn image_shape(&self) -> Result<Shape, ImportError> {
        Ok(image_input(self.graph()?)?.shape)
    }

    /// Whether the file takes `f32` images with the channels first, as the engines provide them.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input.
    pub fn takes_planes(&self) -> Result<bool, ImportError> {
        let input = image_input(self.graph()?)?;
        Ok(input.layout == ImageLayout::ChannelsFirst && input.elem_type == data_type::FLOAT)
    }

    /// Wraps the file's own nodes: graft's input goes before them (pixels in `0.0..=255.0`, RGB, channels first, which the
    /// wrapped file normalizes), an output named `logits` behind them, and graft's metadata beside them.
    ///
    /// # Errors
    /// [`ImportError::Inputs`] and its kind for a file without exactly one image input, [`ImportError::OpaqueOpset`] for an
    /// operator set older than 10.
    pub fn wrap_opaque(&self, options: &OpaqueOptions<'_>) -> Result<Vec<u8>, ImportError> {
        if self.opset() < OLDEST_OPSET {
            return Err(ImportError::OpaqueOpset(self.opset()));
        }
        let mut model = self.clone();
        let input = image_input(self.graph()?)?;
        let Some(graph) = model.proto.graph.as_mut() else { return Err(FileError::NoGraph.into()) };
        let adapter = InputAdapter::new(graph, &input, options)?;
        let (logits, behind) = name_logits(graph);
        let mut nodes = adapter.parts.nodes;
        nodes.append(&mut graph.node);
        nodes.push(behind);
        graph.node = nodes;
        graph.initializer.extend(adapter.parts.constants);
        let batch = graph.input.iter().find(|value| value.name == input.name).and_then(first_dimension);
        graph.input.retain(|value| value.name != input.name);
        graph.input.insert(0, adapter.input);
        graph.output.insert(0, logits);
        let any = Dimension::Param("batch".to_owned());
        let batch = match options.batch {
            Batching::Dynamic => any,
            Batching::Declared => batch.unwrap_or(any),
            Batching::One => Dimension::Value(1),
        };
        graph.input.iter_mut().take(1).chain(&mut graph.output).for_each(|value| set_first_dimension(value, &batch));
        // SpecRecord shapes of what lies in between may name the old batch.
        graph.value_info.clear();
        set_metadata(&mut model.proto, options.spec);
        Ok(model.encode())
    }

    pub(crate) fn graph(&self) -> Result<&GraphProto, FileError> {
        self.proto.graph.as_ref().ok_or(FileError::NoGraph)
    }
}

/// The nodes before the file's own: from graft's input to the tensor that they take.
struct InputAdapter {
    input: ValueInfoProto,
    parts: GraphParts,
}

impl InputAdapter {
    fn new(file: &GraphProto, input: &ImageInput, options: &OpaqueOptions<'_>) -> Result<Self, ImportError> {
        let (graph, output) = adapter_graph(&input.shape, input.layout, options)?;
        let graph = graph.finish(output);
        let taken: HashSet<String> = names(file).collect();
        let name = if taken.contains(INPUT) { free("pixels", &taken) } else { INPUT.to_owned() };
        let bare = input.elem_type == data_type::FLOAT;
        let end = if bare { input.name.clone() } else { free(&format!("{}.float", input.name), &taken) };
        let options = ExportOptions { opset: OLDEST_OPSET, ..ExportOptions::default() };
        let names = WriterNames { input: &name, output: &end, converted: HashMap::new() };
        let mut writer = GraphWriter::new(&graph, options, names);
        writer.reserve(taken);
        let mut parts = ops::write(writer);
        if !bare {
            parts.nodes.push(cast(&end, &input.name, input.elem_type));
        }
        let input = write::image_input(value_info(&name, &input.shape));
        Ok(Self { input, parts })
    }
}

/// Normalization, channel order, layout.
fn adapter_graph(
    shape: &Shape,
    layout: ImageLayout,
    options: &OpaqueOptions<'_>,
) -> Result<(GraphBuilder, NodeId), GraphError> {
    let mut graph = GraphBuilder::new(INPUT, shape.clone());
    let mut x = graph.push("graft.normalize", options.spec.preprocess.normalize(), &[graph.input()])?;
    if options.channel_order == ChannelOrder::Bgr {
        let (channels, height, width) = graph.chw(x)?;
        let spans = vec![Span::reversed(channels), Span::all(height), Span::all(width)];
        x = graph.push("graft.bgr", Slice { spans }, &[x])?;
    }
    if layout == ImageLayout::ChannelsLast {
        x = graph.push("graft.channels_last", Transpose { order: vec![1, 2, 0] }, &[x])?;
    }
    Ok((graph, x))
}

/// An output with the logits under graft's name: the input of a final softmax, or the file's first output.
fn name_logits(graph: &GraphProto) -> (ValueInfoProto, NodeProto) {
    let first = graph.output.first().cloned().unwrap_or_default();
    let (mut source, mut at) = (vec![first.name.clone()], first.name.as_str());
    // ONNX puts each node behind its producers, so one pass suffices. It also ends on a damaged file whose nodes form a
    // cycle.
    for node in graph.node.iter().rev().filter(|node| TRANSPARENT.contains(&node.op_type.as_str())) {
        let Some(input) = node.input.first().filter(|_| node.output.iter().any(|output| output == at)) else {
            continue;
        };
        at = input;
        match node.op_type.as_str() {
            "Softmax" => source = vec![input.clone()],
            // Integers, their scale and their zero point.
            "QLinearSoftmax" => source = node.input.iter().take(3).cloned().collect(),
            _ => {}
        }
    }
    let taken: HashSet<String> = names(graph).collect();
    let name = if taken.contains(LOGITS) { free("graft.logits", &taken) } else { LOGITS.to_owned() };
    let behind = match &source[..] {
        [real] => cast(real, &name, data_type::FLOAT),
        _ => NodeProto {
            name: format!("graft.dequantize.{name}"),
            op_type: "DequantizeLinear".to_owned(),
            input: source,
            output: vec![name.clone()],
            ..NodeProto::default()
        },
    };
    let mut value = ValueInfoProto { name, ..first.clone() };
    if let Some(kind) = value.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()) {
        kind.elem_type = data_type::FLOAT;
    } else {
        let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: None });
        value.r#type = Some(TypeProto { tensor_type, ..TypeProto::default() });
    }
    (value, behind)
}

/// Replaces graft's entries of the metadata and keeps those of other programs.
pub(crate) fn set_metadata(model: &mut ModelProto, spec: &ModelSpec) {
    let ours = metadata::write(spec, PixelNormalization::Inside);
    model.metadata_props.retain(|entry| ours.iter().all(|our| our.key != entry.key));
    model.metadata_props.extend(ours);
}

#[cfg(test)]
mod tests {
    use models::Preprocess;

    use super::*;
    use crate::proto::OperatorSetIdProto;

    fn node(op_type: &str, input: &str, output: &str) -> NodeProto {
        let (input, output) = (vec![input.to_owned()], vec![output.to_owned()]);
        NodeProto { op_type: op_type.to_owned(), input, output, ..NodeProto::default() }
    }

    /// The wrapped form of a file from `input` to `y`.
    fn wrapped(input: &str, node: Vec<NodeProto>) -> GraphProto {
        let input = vec![value_info(input, &Shape::image(3, 8, 8))];
        let output = vec![ValueInfoProto { name: "y".to_owned(), ..ValueInfoProto::default() }];
        let graph = Some(GraphProto { input, output, node, ..GraphProto::default() });
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
        let file = ModelFile { proto: ModelProto { graph, opset_import, ..ModelProto::default() } };
        let preprocess = Preprocess::torchvision(8, 8);
        let spec = ModelSpec { architecture: String::new(), labels: None, preprocess, training: None };
        let options = OpaqueOptions { spec: &spec, channel_order: ChannelOrder::Rgb, batch: Batching::Dynamic };
        ModelFile::decode(file.wrap_opaque(&options).unwrap()).unwrap().proto.graph.unwrap()
    }

    #[test]
    fn the_logits_are_the_input_of_the_last_softmax() {
        let nodes = vec![node("Relu", "x", "r"), node("Softmax", "r", "s"), node("Identity", "s", "y")];
        let last = wrapped("x", nodes).node.pop().unwrap();
        assert_eq!((&last.input[..], &last.output[..]), (&["r".to_owned()][..], &["logits".to_owned()][..]));
    }

    #[test]
    fn a_cycle_of_nodes_ends_the_search() {
        for nodes in [
            vec![node("Identity", "y", "y")],
            vec![node("Softmax", "y", "a"), node("Identity", "a", "y")],
            vec![node("Identity", "a", "y"), node("Softmax", "y", "a")],
        ] {
            assert_eq!(wrapped("x", nodes).output[0].name, "logits");
        }
    }

    #[test]
    fn wrapping_nodes_get_names_that_are_free() {
        let nodes = ["input", "pixels", "logits", "graft.logits", "y"].map(|output| node("Relu", "input", output));
        let graph = wrapped("input", nodes[1..].to_vec());
        assert_eq!((&*graph.input[0].name, &*graph.output[0].name), ("pixels_", "graft.logits_"));
        let mut produced: Vec<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
        produced.sort();
        assert!(produced.windows(2).all(|pair| pair[0] != pair[1]), "{produced:?}");
    }
}
